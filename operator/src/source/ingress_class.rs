//! IngressClass in its reduced form.

use axoneme_api::names;
use k8s_openapi::api::networking::v1 as k8s;

use super::{Meta, Name};

/// An IngressClass: whose the Ingresses that name it are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressClass {
    /// Cluster-scoped.
    pub meta: Meta,
    /// `spec.controller`, empty when absent.
    pub controller: String,
    /// Whether Ingresses without a class belong to it: the annotation that says so, as written.
    pub default: Option<String>,
    /// `spec.parameters`: what else it says of its Ingresses.
    pub parameters: Option<Parameters>,
}

/// `spec.parameters` of an IngressClass, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// `apiGroup`, empty for the core group.
    pub group: String,
    /// `kind`.
    pub kind: String,
    /// `namespace`, of `scope: Namespace`.
    pub namespace: Option<String>,
    /// `name`.
    pub name: String,
}

impl IngressClass {
    /// Whether Ingresses without a class belong to it. As the API server reads it: nothing but `true` is.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.default.as_deref() == Some("true")
    }

    /// The ConfigMap that it names; `None` when it names none, or something else.
    #[must_use]
    pub fn config_map(&self) -> Option<Name> {
        let parameters = self.parameters.as_ref()?;
        let is_config_map =
            parameters.group.is_empty() && parameters.kind == "ConfigMap" && !parameters.name.is_empty();
        let namespace = parameters.namespace.as_deref().filter(|namespace| is_config_map && !namespace.is_empty())?;
        Some(Name::new(namespace, &parameters.name))
    }
}

impl From<&k8s::IngressClass> for IngressClass {
    fn from(class: &k8s::IngressClass) -> Self {
        let annotations = class.metadata.annotations.as_ref();
        let spec = class.spec.as_ref();
        let parameters = |it: &k8s::IngressClassParametersReference| Parameters {
            group: it.api_group.clone().unwrap_or_default(),
            kind: it.kind.clone(),
            namespace: it.namespace.clone().filter(|_| it.scope.as_deref() == Some("Namespace")),
            name: it.name.clone(),
        };
        Self {
            meta: Meta::from(&class.metadata),
            controller: spec.and_then(|spec| spec.controller.clone()).unwrap_or_default(),
            default: annotations.and_then(|all| all.get(names::DEFAULT_CLASS_ANNOTATION)).cloned(),
            parameters: spec.and_then(|spec| spec.parameters.as_ref()).map(parameters),
        }
    }
}
