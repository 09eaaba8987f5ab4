//! What it takes to open a place: nothing of one context is used by another.

use artifact::{Context, location};

use crate::support::scripted::{Scripted, reply};

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_that_is_set_otherwise_speaks_for_itself() {
    let server = Scripted::start(|_| reply(200, &[], br#"{"name":"a","tags":["v1"]}"#));
    let place = format!("{}/a:v1", server.host());
    let mut one = Context::new(std::env::temp_dir());
    one.registry.user_agent = "one".into();
    location::open(&place, &one).await.unwrap().store.list_names().await.unwrap();
    let mut two = one.clone();
    two.registry.user_agent = "two".into();
    for (context, name) in [(&two, "two"), (&one, "one"), (&two, "two")] {
        location::open(&place, context).await.unwrap().store.list_names().await.unwrap();
        assert_eq!(server.seen().last().unwrap().header("user-agent"), name);
    }
}
