//! Every check of the signing vectors gives what is expected of it.

use artifact::{store::ReadStore as _, stores::Layout};

use crate::support::signing::{cases, outcome, vector};

#[tokio::test]
async fn every_layout_gives_the_expected_answer_to_every_check() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for case in cases() {
        let layout = Layout::open(vector(&case.layout)).unwrap();
        for (at, check) in case.checks.iter().enumerate() {
            let subject = layout.resolve(&check.subject(&case).parse().unwrap()).await.unwrap();
            let found = outcome(&layout, &subject, &check.requirement()).await;
            checked += 1;
            if check.expect != "any" && found != check.expect {
                wrong.push(format!("{} check {at} ({}): {found}, not {}", case.name, check.profile, check.expect));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {checked} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(checked, 129);
}
