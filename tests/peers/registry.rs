//! Tests of `registry`: the client against registries and token services of others, and over https, whose certificates
//! openssl makes.

mod certificates;
mod http2;
mod peers;
mod platforms;
mod proxies;
mod redirects;
mod referrers;
mod tls;
mod tokens;

use crate::{
    harness::Test,
    support::client::{
        CANARY, blob, canary, carry, guarded, kind, repository, saw_secret, there_and_back, with_password,
    },
};

pub(crate) fn tests() -> Vec<Test> {
    let all = [
        certificates::tests(),
        http2::tests(),
        peers::tests(),
        platforms::tests(),
        proxies::tests(),
        redirects::tests(),
        referrers::tests(),
        tls::tests(),
        tokens::tests(),
    ];
    all.into_iter().flatten().collect()
}
