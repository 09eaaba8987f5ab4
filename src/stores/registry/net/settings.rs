//! Settings for connections.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use super::{
    certificates::{ClientCertificate, SystemRoots},
    dial::Dial,
    proxy::Proxies,
};
use crate::progress::Observer;

/// Settings for connections. See `Options` for the fields.
#[derive(Default)]
pub(in crate::stores::registry) struct NetSettings {
    pub(in crate::stores::registry) roots: Vec<Vec<u8>>,
    pub(in crate::stores::registry) system_roots: Option<SystemRoots>,
    pub(in crate::stores::registry) insecure_tls: bool,
    pub(in crate::stores::registry) certificate: Option<ClientCertificate>,
    pub(in crate::stores::registry) proxies: Proxies,
    pub(in crate::stores::registry) addresses: Arc<HashMap<String, Vec<IpAddr>>>,
    pub(in crate::stores::registry) dial: Option<Arc<dyn Dial>>,
    pub(in crate::stores::registry) connect_timeout: Duration,
    pub(in crate::stores::registry) progress: Observer,
}
