//! Lists the parts of a configuration that this version of the agent cannot run. `tbot validate` reports them, and `tbot
//! start` refuses them before it joins. Depends on the other configuration types.
//!
//! The tables and types declare most of them: see [`Service::supported`],
//! [`JoinMethod::supported`](super::JoinMethod::supported) and [`Config::unsupported_properties`].

use super::context_name::ContextName;
use super::service::{Service, SupportedService};
use super::unsupported_property::UnsupportedProperty;
use super::v2::Config;
use crate::pointer::Pointer;

/// A part of a configuration that this version of the agent cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedPart {
    /// Its pointer, such as `/services/1/type`.
    pub pointer: Pointer,
    /// What it is, in a few words.
    pub what: String,
}

impl Config {
    /// Returns everything that this version of the agent cannot run, in the order of the file.
    pub fn unsupported_parts(&self) -> Vec<UnsupportedPart> {
        let mut parts = UnsupportedParts(Vec::new());
        let method = self.onboarding.as_ref().and_then(|onboarding| onboarding.join_method);
        if let Some(method) = method.filter(|method| method.supported().is_none()) {
            parts.push(Pointer::from("/onboarding/join_method"), format!("join method {method}"));
        }
        for (pointer, service) in self.located_services() {
            parts.push_service(&pointer, service);
        }
        parts.push_properties(&Pointer::root(), self.unsupported_properties());
        parts.0
    }
}

/// The parts found so far.
struct UnsupportedParts(Vec<UnsupportedPart>);

impl UnsupportedParts {
    fn push(&mut self, pointer: Pointer, what: String) {
        self.0.push(UnsupportedPart { pointer, what });
    }

    fn push_properties(&mut self, at: &Pointer, properties: Vec<UnsupportedProperty>) {
        for UnsupportedProperty { name, feature } in properties {
            self.push(at.key(name), feature.to_owned());
        }
    }

    fn push_service(&mut self, at: &Pointer, service: &Service) {
        let Some(supported) = service.supported() else {
            self.push(at.key("type"), format!("the service type {}", service.type_name()));
            return;
        };
        self.push_properties(at, service.unsupported_properties());
        if let SupportedService::KubernetesV2(kubernetes) = supported
            && ContextName::of_service(kubernetes).is_none()
        {
            let what = "a context name template with more than .ClusterName and .KubeName".to_owned();
            self.push(at.key("context_name_template"), what);
        }
    }
}
