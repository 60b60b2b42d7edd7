//! Outputs that cannot be written because a resource is missing or ambiguous, or a permission is missing.

use serde_json::json;
use tbot::agent::{ApiError, GrpcCode, LookupError, OutputError, error_line};
use tbot_cluster::{DISCOVERED_NAME_LABEL, Resource, Role};

use super::{cluster_with_resources, write_error};

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_resource_is_reported_with_its_type_and_name() {
    let fixture = cluster_with_resources().await;
    for (service, resource_type) in [
        (json!({ "type": "application", "app_name": "nope" }), "app"),
        (json!({ "type": "database", "service": "nope" }), "database"),
        (json!({ "type": "kubernetes", "kubernetes_cluster": "nope" }), "kubernetes cluster"),
    ] {
        let error = write_error(&fixture, &service).await;
        let OutputError::Lookup(LookupError::NotFound { kind, name, .. }) = &error else {
            panic!("{error:?}")
        };
        assert_eq!((*kind, name.as_str()), (resource_type, "nope"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_discovered_name_is_reported_with_the_candidates() {
    let fixture = cluster_with_resources().await;
    for name in ["pg-b", "pg-a"] {
        let database = Resource::database(name, "postgres").with_label(DISCOVERED_NAME_LABEL, "orders");
        fixture.cluster.add_resource(database);
    }
    let error = write_error(&fixture, &json!({ "type": "database", "service": "orders" })).await;
    let OutputError::Lookup(LookupError::Ambiguous { name, names, .. }) = &error else { panic!("{error:?}") };
    assert_eq!((name.as_str(), names), ("orders", &["pg-a", "pg-b"].into_iter().collect()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_leaf_cluster_is_reported_with_the_visible_ones() {
    let fixture = cluster_with_resources().await;
    let error = write_error(&fixture, &json!({ "type": "identity", "cluster": "lief.test" })).await;
    let OutputError::LeafNotFound { name, visible } = &error else { panic!("{error:?}") };
    assert_eq!((name.as_str(), visible), ("lief.test", &["leaf.test"].into_iter().collect()));
    insta::assert_snapshot!(error_line(&error, error.hint().as_ref()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_certificate_without_permission_is_reported_with_the_rule_that_allows_it() {
    let fixture = cluster_with_resources().await;
    for role in ["access", "deploy"] {
        fixture.cluster.set_role(Role { allow_host_certs: false, ..Role::new(role) });
    }
    let error = write_error(&fixture, &json!({ "type": "ssh_host", "principals": ["a"] })).await;
    assert!(matches!(error, OutputError::Api(ApiError::Rest(_))), "{error:?}");
    insta::assert_snapshot!(error_line(&error, error.hint().as_ref()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_the_bot_may_not_impersonate_is_reported_with_the_command_that_adds_it() {
    let fixture = cluster_with_resources().await;
    let error = write_error(&fixture, &json!({ "type": "identity", "roles": ["editor"] })).await;
    let OutputError::Api(ApiError::Refused { code, .. }) = &error else { panic!("{error:?}") };
    assert_eq!(*code, GrpcCode::PermissionDenied);
    insta::assert_snapshot!(error_line(&error, error.hint().as_ref()));
}
