//! What the subsystems declare: complete, in the protocol's shape, and with schemas that hold.

use std::sync::Arc;

use boon::{Compiler, Schemas};
use opstead::engine::executor::Executor;
use opstead::subsystems::diagnostic::Diagnostic;
use opstead_core::{ClaimOperation, Declaration, MethodKind, OnInterrupt};
use serde_json::{Value, json};

use crate::support::Site;

pub(crate) fn accepts(declaration: &Declaration, kwargs: &Value) -> bool {
    let schema = declaration.kwargs_schema.as_ref().expect("schema");
    let mut schemas = Schemas::new();
    let mut compiler = Compiler::new();
    compiler
        .add_resource("kwargs.json", schema.parse().expect("JSON"))
        .expect("resource");
    let index = compiler
        .compile("kwargs.json", &mut schemas)
        .expect("a valid schema");
    schemas.validate(kwargs, index).is_ok()
}

fn find<'a>(declarations: &'a [Arc<Declaration>], name: &str) -> &'a Declaration {
    declarations
        .iter()
        .find(|declaration| *declaration.name == *name)
        .expect("declared")
}

/// Protocol §7, MethodDeclaration, and §8: what each method does to its image.
#[test]
fn storage_declares_its_objects_and_claims() {
    use ClaimOperation::{Create, Delete, Read, Update};
    let site = Site::new();
    assert_eq!(
        (site.storage.name(), site.storage.capacity()),
        ("storage", 4)
    );
    let declared = site.storage.declarations();
    type Claims<'a> = &'a [(&'a str, ClaimOperation)];
    let expected: [(&str, &str, Claims<'_>, bool); 8] = [
        (
            "createImage",
            "Image.{image}",
            &[("{image}", Create)],
            false,
        ),
        (
            "copyImage",
            "Image.{target}",
            &[("{source}", Read), ("{target}", Create)],
            true,
        ),
        (
            "resizeImage",
            "Image.{image}",
            &[("{image}", Update)],
            false,
        ),
        (
            "deleteImage",
            "Image.{image}",
            &[("{image}", Delete)],
            false,
        ),
        ("importImage", "Image.{image}", &[("{image}", Create)], true),
        (
            "createOverlay",
            "Image.{image}",
            &[("{image}", Create), ("{backingImage}", Read)],
            false,
        ),
        (
            "mergeImage",
            "Image.{backingImage}",
            &[("{image}", Delete), ("{backingImage}", Create)],
            false,
        ),
        ("checkImage", "Image.{image}", &[("{image}", Read)], true),
    ];
    for (name, object, claims, cancelable) in expected {
        let declaration = find(&declared, &format!("storage.{name}"));
        assert_eq!(declaration.kind, MethodKind::Operation, "{name}");
        assert_eq!(declaration.object.as_deref(), Some(object), "{name}");
        let declared_claims: Vec<(&str, ClaimOperation)> = declaration
            .claims
            .iter()
            .map(|claim| (&*claim.id, claim.operation))
            .collect();
        assert_eq!(declared_claims, claims, "{name}");
        assert!(
            declaration
                .claims
                .iter()
                .all(|claim| &*claim.kind == "image")
        );
        assert_eq!(declaration.cancelable, cancelable, "{name}");
        assert_eq!(declaration.on_interrupt, OnInterrupt::Retry, "{name}");
        assert!(declaration.summary.ends_with('.'), "{name}");
    }
    let query = find(&declared, "storage.getImageInfo");
    assert_eq!(query.kind, MethodKind::Query);
    assert!(query.claims.is_empty() && query.object.is_none());
    assert_eq!(declared.len(), expected.len() + 1);
}

#[test]
fn schemas_take_what_fits_and_nothing_else() {
    let declared = Site::new().storage.declarations();
    let create = find(&declared, "storage.createImage");
    for good in [
        json!({"image": "a", "sizeBytes": 1}),
        json!({"image": "Base_1.raw-2", "sizeBytes": 1_u64 << 50}),
        json!({"image": "x".repeat(128), "sizeBytes": 4096.0}),
    ] {
        assert!(accepts(create, &good), "{good}");
    }
    for bad in [
        json!({"image": "a"}),
        json!({"sizeBytes": 1}),
        json!({"image": "a", "sizeBytes": 1, "more": 1}),
        json!({"image": "a", "sizeBytes": 0}),
        json!({"image": "a", "sizeBytes": -1}),
        json!({"image": "a", "sizeBytes": 1.5}),
        json!({"image": "a", "sizeBytes": "1"}),
        json!({"image": "a", "sizeBytes": (1_u64 << 50) + 1}),
        json!({"image": 1, "sizeBytes": 1}),
    ] {
        assert!(!accepts(create, &bad), "{bad}");
    }
    let import = find(&declared, "storage.importImage");
    assert!(accepts(import, &json!({"image": "a", "path": "/x"})));
    assert!(!accepts(import, &json!({"image": "a", "path": ""})));
    assert!(!accepts(import, &json!({"path": "/x"})));
    for (format, is_good) in [
        (json!("raw"), true),
        (json!("qcow2"), true),
        (json!("vmdk"), false),
        (json!(null), false),
    ] {
        let kwargs = json!({"image": "a", "sizeBytes": 1, "format": format});
        assert_eq!(accepts(create, &kwargs), is_good, "{kwargs}");
        let kwargs = json!({"image": "a", "path": "/x", "format": format});
        assert_eq!(accepts(import, &kwargs), is_good, "{kwargs}");
    }
    let overlay = find(&declared, "storage.createOverlay");
    let mut kwargs = json!({"image": "a", "backingImage": "b"});
    assert!(accepts(overlay, &kwargs));
    kwargs["sizeBytes"] = json!(0);
    assert!(!accepts(overlay, &kwargs));
}

#[test]
fn every_schema_checks_every_name() {
    let declared = Site::new().storage.declarations();
    for bad in crate::names::bad_names() {
        for (method, other, members) in [
            ("createImage", json!({"sizeBytes": 1}), &["image"][..]),
            (
                "copyImage",
                json!({"source": "a", "target": "b"}),
                &["source", "target"],
            ),
            ("resizeImage", json!({"sizeBytes": 1}), &["image"]),
            ("deleteImage", json!({}), &["image"]),
            ("importImage", json!({"path": "/x"}), &["image"]),
            ("getImageInfo", json!({}), &["image"]),
            ("checkImage", json!({}), &["image"]),
            (
                "createOverlay",
                json!({"image": "a", "backingImage": "b"}),
                &["image", "backingImage"],
            ),
            (
                "mergeImage",
                json!({"image": "a", "backingImage": "b"}),
                &["image", "backingImage"],
            ),
        ] {
            for member in members {
                let mut kwargs = other.clone();
                kwargs[*member] = json!(bad);
                let declaration = find(&declared, &format!("storage.{method}"));
                assert!(!accepts(declaration, &kwargs), "{method} {kwargs}");
            }
        }
    }
}

#[test]
fn diagnostic_declares_its_methods() {
    let declared = Diagnostic.declarations();
    assert_eq!(
        (Diagnostic.name(), Diagnostic.capacity()),
        ("diagnostic", 10_000)
    );
    let noop = find(&declared, "diagnostic.noop");
    assert!(noop.kwargs_schema.is_none(), "load tests measure no schema");
    let wait = find(&declared, "diagnostic.wait");
    assert!(wait.cancelable && wait.on_interrupt == OnInterrupt::Retry && wait.object.is_none());
    assert!(accepts(wait, &json!({"resource": "disk", "seconds": 0.5})));
    assert!(!accepts(wait, &json!({"seconds": -1})) && !accepts(wait, &json!({"x": 1})));
}
