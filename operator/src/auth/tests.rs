//! Every way in which a token can be wrong has its own reason.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::UserInfo;

use super::*;

const ACCOUNT: &str = "system:serviceaccount:axoneme:axoneme-node";

fn good() -> TokenReviewStatus {
    TokenReviewStatus {
        authenticated: Some(true),
        audiences: Some(vec![names::TOKEN_AUDIENCE.to_owned()]),
        user: Some(UserInfo {
            username: Some(ACCOUNT.to_owned()),
            extra: Some(BTreeMap::from([(NODE_NAME.to_owned(), vec!["node-1".to_owned()])])),
            ..UserInfo::default()
        }),
        error: None,
    }
}

fn spoiled(spoil: impl FnOnce(&mut TokenReviewStatus)) -> &'static str {
    let mut status = good();
    spoil(&mut status);
    bound_node(&status, ACCOUNT).unwrap_err().reason()
}

#[test]
fn a_pods_projected_token_is_good_for_its_own_node_only() {
    let node = bound_node(&good(), ACCOUNT).unwrap();
    assert_eq!(node, "node-1");
    same_node(&node, "node-1").unwrap();
    assert_eq!(same_node(&node, "node-2").unwrap_err().reason(), "other_node");
}

#[test]
fn each_flaw_has_its_reason() {
    assert_eq!(spoiled(|status| status.authenticated = Some(false)), "invalid_token");
    assert_eq!(spoiled(|status| status.authenticated = None), "invalid_token");
    assert_eq!(
        spoiled(|status| status.audiences = Some(vec!["https://kubernetes.default.svc".into()])),
        "wrong_audience"
    );
    assert_eq!(spoiled(|status| status.audiences = None), "wrong_audience");
    let user = |status: &mut TokenReviewStatus, name: &str| {
        status.user.as_mut().unwrap().username = Some(name.to_owned());
    };
    assert_eq!(spoiled(|status| user(status, "system:serviceaccount:other:axoneme-node")), "wrong_account");
    assert_eq!(spoiled(|status| user(status, "system:admin")), "wrong_account");
    assert_eq!(spoiled(|status| status.user.as_mut().unwrap().extra = None), "no_node");
}

#[test]
fn a_bearer_token_is_found() {
    assert_eq!(bearer(Some("Bearer abc")), Some("abc"));
    assert_eq!(bearer(Some("bearer abc ")), Some("abc"));
    for none in [None, Some("abc"), Some("Basic abc"), Some("Bearer "), Some("")] {
        assert_eq!(bearer(none), None, "{none:?}");
    }
}
