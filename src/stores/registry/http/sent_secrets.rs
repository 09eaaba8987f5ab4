//! The secrets that were sent to registries, to keep them out of what a program prints.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::stores::registry::origins::redact::without_secrets;

/// A shorter secret, in bytes, is in messages by chance too often.
const SHORTEST: usize = 6;
/// How many secrets are kept. Passwords are sent again and again, so that new tokens of a server push out old ones.
const KEPT: usize = 1000;

/// The last 1,000 secrets that clients sent: passwords, tokens, logins of proxies. A clone shares them.
///
/// No error and no event of this library repeats what a server sends back in answers, headers and addresses. What a
/// server puts into *content*, such as a manifest, is quoted by the errors about it, wherever they arise. A program that
/// prints errors passes them through [`Self::without`].
#[derive(Clone, Default)]
pub struct SentSecrets(Arc<Mutex<VecDeque<String>>>);

impl SentSecrets {
    pub(in crate::stores::registry) fn add<'a>(&self, secrets: impl IntoIterator<Item = &'a String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for secret in secrets.into_iter().filter(|secret| secret.len() >= SHORTEST) {
            // The newest is last.
            let known = all.iter().rposition(|known| known == secret);
            let newest = known.and_then(|at| all.remove(at)).unwrap_or_else(|| secret.clone());
            all.push_back(newest);
            if all.len() > KEPT {
                all.pop_front();
            }
        }
    }

    /// The text with secrets of six bytes and more replaced, or replaced as a whole if one is hidden by an encoding.
    #[must_use]
    pub fn without(&self, text: &str) -> String {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() { text.to_owned() } else { without_secrets(text, all.make_contiguous()) }
    }
}

impl fmt::Debug for SentSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SentSecrets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_replaced_and_what_is_short_is_not() {
        let sent = SentSecrets::default();
        assert_eq!(sent.without("a canary"), "a canary");
        sent.clone().add(&["canary".to_owned(), "v1".to_owned()]);
        assert_eq!(sent.without("a canary in v1"), "a *** in v1");
        assert_eq!(sent.without("Canar%79 in v1"), "***");
        assert!(!format!("{sent:?}").contains("canary"));
    }

    #[test]
    fn a_server_that_gives_a_new_token_for_every_request_pushes_out_its_tokens_and_no_password() {
        let sent = SentSecrets::default();
        for at in 0..2 * KEPT {
            sent.add(&["password".to_owned(), format!("token-{at:06}")]);
        }
        assert_eq!(sent.0.lock().unwrap().len(), KEPT);
        assert_eq!(sent.without("password token-001999 token-000000"), "*** *** token-000000");
    }
}
