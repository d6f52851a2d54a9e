//! Who may fetch which node's intents: a node-loader proves its node with its projected ServiceAccount token.
//!
//! The API server judges the token (TokenReview). The token names the node that its pod is bound to, so a node that was
//! taken over can ask for its own view and for no other.

use std::{sync::Arc, time::Instant};

use axoneme_api::names;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::{Api, Client, api::PostParams};

use self::cache::Cache;
use crate::metrics;

mod cache;

/// Extra of a reviewed token that names the node of its pod; Kubernetes 1.30 and later.
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";

/// Why a stream was refused. The text goes to the node; it holds nothing that the caller does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No `authorization: Bearer ...` in the request.
    #[error("no bearer token; send the projected ServiceAccount token")]
    NoToken,
    /// The API server does not know the token, or it expired.
    #[error("the token is not valid: {0}")]
    Invalid(String),
    /// The token is valid, but for somebody else than us.
    #[error("the token is not for the audience {}", names::TOKEN_AUDIENCE)]
    Audience,
    /// The token is another account's.
    #[error("the token is of {0}, not of the node-loader's ServiceAccount")]
    Account(String),
    /// The token names no node.
    #[error("the token is bound to no node; it needs a pod's projected token of Kubernetes 1.30 or later")]
    Unbound,
    /// A node asked for another node's view.
    #[error("a token of node {bound} cannot ask for the view of node {asked}")]
    OtherNode {
        /// Node that the token is bound to.
        bound: String,
        /// Node that was asked for.
        asked: String,
    },
    /// The review itself failed; the node shall try again.
    #[error("the token could not be reviewed now")]
    Unavailable,
}

impl Refusal {
    /// Value of the metric's label `reason`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::Invalid(_) => "invalid_token",
            Self::Audience => "wrong_audience",
            Self::Account(_) => "wrong_account",
            Self::Unbound => "no_node",
            Self::OtherNode { .. } => "other_node",
            Self::Unavailable => "review_failed",
        }
    }
}

/// The node that a reviewed token is bound to.
///
/// # Errors
/// [`Refusal`] unless the token is valid, for our audience, and of the account `account`.
pub fn bound_node(status: &TokenReviewStatus, account: &str) -> Result<String, Refusal> {
    if status.authenticated != Some(true) {
        let reason = status.error.clone().filter(|error| !error.is_empty());
        return Err(Refusal::Invalid(reason.unwrap_or_else(|| "the API server does not accept it".to_owned())));
    }
    // An API server that ignores audiences answers without any; such a token could be stolen from another service.
    if !status.audiences.iter().flatten().any(|audience| audience == names::TOKEN_AUDIENCE) {
        return Err(Refusal::Audience);
    }
    let user = status.user.clone().unwrap_or_default();
    let name = user.username.unwrap_or_default();
    if name != account {
        return Err(Refusal::Account(name));
    }
    match user.extra.unwrap_or_default().remove(NODE_NAME).as_deref() {
        Some([node]) if !node.is_empty() => Ok(node.clone()),
        _ => Err(Refusal::Unbound),
    }
}

/// A node gets its own view only.
///
/// # Errors
/// [`Refusal::OtherNode`].
pub fn same_node(bound: &str, asked: &str) -> Result<(), Refusal> {
    if bound == asked {
        return Ok(());
    }
    Err(Refusal::OtherNode { bound: bound.to_owned(), asked: asked.to_owned() })
}

/// The token of an `authorization` header.
#[must_use]
pub fn bearer(header: Option<&str>) -> Option<&str> {
    let (scheme, token) = header?.split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

/// Asks the API server about tokens, and remembers good answers for a moment.
pub struct Reviewer {
    api: Api<TokenReview>,
    account: String,
    cache: Cache,
}

impl std::fmt::Debug for Reviewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reviewer").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Reviewer {
    /// Accepts the node-loader's ServiceAccount of `namespace`.
    #[must_use]
    pub fn new(client: Client, namespace: &str) -> Self {
        let account = format!("system:serviceaccount:{namespace}:{}", names::NODE_SERVICE_ACCOUNT);
        Self { api: Api::all(client), account, cache: Cache::default() }
    }

    /// Decides on a stream by its `authorization` header and the node that its first request names.
    ///
    /// # Errors
    /// [`Refusal`], counted and logged here.
    pub async fn authorize(&self, header: Option<&str>, node: &str) -> Result<Arc<str>, Refusal> {
        let verdict = self.decide(header, node).await;
        if let Err(refusal) = &verdict {
            ::metrics::counter!(metrics::AUTH_REFUSED, "reason" => refusal.reason()).increment(1);
            tracing::warn!(node, reason = refusal.reason(), %refusal, "refused a node's stream");
        }
        verdict
    }

    async fn decide(&self, header: Option<&str>, node: &str) -> Result<Arc<str>, Refusal> {
        let token = bearer(header).ok_or(Refusal::NoToken)?;
        let bound = match self.cache.get(token, Instant::now()) {
            Some(bound) => bound,
            None => {
                let bound: Arc<str> = bound_node(&self.review(token).await?, &self.account)?.into();
                self.cache.put(token, Arc::clone(&bound), Instant::now());
                bound
            }
        };
        same_node(&bound, node)?;
        Ok(bound)
    }

    async fn review(&self, token: &str) -> Result<TokenReviewStatus, Refusal> {
        let review = TokenReview {
            spec: TokenReviewSpec { token: token.to_owned(), audiences: Some(vec![names::TOKEN_AUDIENCE.to_owned()]) },
            ..TokenReview::default()
        };
        match self.api.create(&PostParams::default(), &review).await {
            Ok(review) => Ok(review.status.unwrap_or_default()),
            Err(error) => {
                tracing::warn!(%error, "TokenReview failed");
                Err(Refusal::Unavailable)
            }
        }
    }
}

#[cfg(test)]
mod tests;
