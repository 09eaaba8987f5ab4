//! Manifests: end-3, end-7 and end-9 of the specification's table.

use artifact::oci::{Digest, Index, media_type};
use serde_json::json;

use super::{Outcome, World, checks, content, expect, location, same, sha512};

checks![
    a_manifest_is_pulled_by_tag_and_by_digest,
    the_head_of_a_manifest_has_its_size_and_its_digest,
    a_pushed_manifest_has_a_location_and_a_digest,
    a_manifest_is_kept_byte_for_byte,
    parameters_of_the_content_type_are_ignored,
    a_manifest_with_another_digest_is_refused,
    a_reference_that_is_neither_tag_nor_digest_is_refused,
    every_tag_of_the_grammar_is_taken,
    a_tag_moves,
    several_tags_are_set_at_once,
    a_manifest_that_lacks_a_blob_is_taken_or_refused_by_name,
    what_is_no_manifest_is_refused,
    a_manifest_of_four_megabytes_is_taken,
    a_manifest_that_is_too_large_is_refused,
    a_manifest_without_layers_is_taken,
    layers_that_must_not_be_distributed_may_be_absent,
    fields_that_nobody_knows_are_kept,
    an_index_is_pushed,
    an_index_of_an_index_is_pushed,
    an_empty_index_is_pushed,
    a_subject_need_not_be_there,
    a_subject_is_confirmed,
    the_subject_of_an_index_is_confirmed,
    a_sha512_manifest_is_pushed,
    several_tags_are_set_on_a_sha512_manifest,
    a_tag_is_deleted_and_its_manifest_stays,
    a_deleted_manifest_is_gone_with_its_tags,
    what_is_not_there_cannot_be_deleted,
];

async fn a_manifest_is_pulled_by_tag_and_by_digest(w: &World) -> Outcome {
    let (digest, bytes) = w.image(Some("v1"), |_| ()).await?;
    for reference in ["v1".to_owned(), digest.to_string()] {
        let answer = w.get(&format!("manifests/{reference}")).await;
        expect(&answer, &[200])?;
        content("the content", &answer, bytes.as_bytes())?;
        same("the type", answer.header("content-type"), media_type::MANIFEST)?;
        same("the digest", answer.header("docker-content-digest"), &digest.to_string())?;
    }
    Ok(())
}

async fn the_head_of_a_manifest_has_its_size_and_its_digest(w: &World) -> Outcome {
    let (digest, bytes) = w.image(Some("v1"), |_| ()).await?;
    for reference in ["v1".to_owned(), digest.to_string()] {
        let answer = w.send("HEAD", &format!("manifests/{reference}"), super::ACCEPT, "").await;
        expect(&answer, &[200])?;
        same("the body", answer.body.len(), 0)?;
        same("the length", answer.header("content-length"), &bytes.len().to_string())?;
        same("the type", answer.header("content-type"), media_type::MANIFEST)?;
        same("the digest", answer.header("docker-content-digest"), &digest.to_string())?;
    }
    Ok(())
}

async fn a_pushed_manifest_has_a_location_and_a_digest(w: &World) -> Outcome {
    let bytes = w.plain().await?.to_string();
    let digest = Digest::of(bytes.as_bytes()).to_string();
    for reference in ["v1", &digest] {
        let answer = w.put(reference, media_type::MANIFEST, bytes.as_bytes()).await;
        expect(&answer, &[201])?;
        same("the digest", answer.header("docker-content-digest"), &digest)?;
        let pulled = w.get(&location(&answer)?).await;
        content("the content at the `Location`", &pulled, bytes.as_bytes())?;
    }
    Ok(())
}

async fn a_manifest_is_kept_byte_for_byte(w: &World) -> Outcome {
    let bytes = format!("{:#}\n\n", w.plain().await?).replace("\"schemaVersion\": 2", "\"schemaVersion\"  :\t2");
    expect(&w.put("v1", media_type::MANIFEST, bytes.as_bytes()).await, &[201])?;
    let answer = w.get("manifests/v1").await;
    content("the content", &answer, bytes.as_bytes())?;
    same("the digest", answer.header("docker-content-digest"), &Digest::of(bytes.as_bytes()).to_string())
}

async fn parameters_of_the_content_type_are_ignored(w: &World) -> Outcome {
    let bytes = w.plain().await?.to_string();
    let kind = format!("{}; charset=utf-8", media_type::MANIFEST);
    expect(&w.put("v1", &kind, bytes.as_bytes()).await, &[201])?;
    same("the type", w.get("manifests/v1").await.header("content-type"), media_type::MANIFEST)
}

async fn a_manifest_with_another_digest_is_refused(w: &World) -> Outcome {
    let bytes = w.plain().await?.to_string();
    let digest = Digest::of(b"another");
    expect(&w.put(&digest.to_string(), media_type::MANIFEST, bytes.as_bytes()).await, &[400])?;
    expect(&w.get(&format!("manifests/{digest}")).await, &[404])?;
    expect(&w.get(&format!("manifests/{}", Digest::of(bytes.as_bytes()))).await, &[404])
}

async fn a_reference_that_is_neither_tag_nor_digest_is_refused(w: &World) -> Outcome {
    let bytes = w.plain().await?.to_string();
    for reference in [".hidden", "-dash", "sha256:abc", &"a".repeat(129)] {
        expect(&w.put(reference, media_type::MANIFEST, bytes.as_bytes()).await, &[400, 404])?;
    }
    Ok(())
}

async fn every_tag_of_the_grammar_is_taken(w: &World) -> Outcome {
    let bytes = w.plain().await?.to_string();
    for tag in ["_", "0", "A.b-c_d", "v1..2", "x-", "y.", "__z__", &"a".repeat(128)] {
        expect(&w.put(tag, media_type::MANIFEST, bytes.as_bytes()).await, &[201])?;
        expect(&w.get(&format!("manifests/{tag}")).await, &[200])?;
    }
    Ok(())
}

async fn a_tag_moves(w: &World) -> Outcome {
    let (old, _) = w.image(Some("v1"), |_| ()).await?;
    let (new, _) = w.image(Some("v1"), |image| image["annotations"] = json!({"new": "yes"})).await?;
    same("the digest", w.get("manifests/v1").await.header("docker-content-digest"), &new.to_string())?;
    expect(&w.get(&format!("manifests/{old}")).await, &[200])
}

async fn set_several_tags(w: &World, digest: &Digest, bytes: &str) -> Outcome {
    let tags: Vec<String> = (0..10).map(|n| format!("t{n}")).collect();
    let answer = w.put(&format!("{digest}?tag={}", tags.join("&tag=")), media_type::MANIFEST, bytes.as_bytes()).await;
    expect(&answer, &[201])?;
    let shown = answer.headers.get_all("oci-tag").iter().flat_map(|value| value.to_str().unwrap().split(','));
    same("`OCI-Tag`", shown.map(|tag| tag.trim().to_owned()).collect(), tags.clone())?;
    for tag in tags {
        let answer = w.get(&format!("manifests/{tag}")).await;
        same(&tag, answer.header("docker-content-digest"), &digest.to_string())?;
    }
    Ok(())
}

async fn several_tags_are_set_at_once(w: &World) -> Outcome {
    let bytes = w.plain().await?.to_string();
    set_several_tags(w, &Digest::of(bytes.as_bytes()), &bytes).await
}

async fn several_tags_are_set_on_a_sha512_manifest(w: &World) -> Outcome {
    let bytes = w.plain().await?.to_string();
    set_several_tags(w, &sha512(bytes.as_bytes()), &bytes).await
}

async fn a_manifest_that_lacks_a_blob_is_taken_or_refused_by_name(w: &World) -> Outcome {
    let mut image = w.plain().await?;
    image["layers"][0]["digest"] = json!(Digest::of(b"never pushed"));
    let answer = w.put("v1", media_type::MANIFEST, image.to_string().as_bytes()).await;
    if answer.status != 201 {
        expect(&answer, &[400, 404])?;
        same("one code", answer.codes().contains(&"MANIFEST_BLOB_UNKNOWN".to_owned()), true)?;
        expect(&w.get("manifests/v1").await, &[404])?;
    }
    Ok(())
}

async fn what_is_no_manifest_is_refused(w: &World) -> Outcome {
    for bytes in ["", "{", "[]", "null", "not JSON", r#"{"schemaVersion":2,"layers":"x"}"#] {
        let answer = w.put("v1", media_type::MANIFEST, bytes.as_bytes()).await;
        expect(&answer, &[400])?;
        same(bytes, answer.codes(), vec!["MANIFEST_INVALID".to_owned()])?;
    }
    expect(&w.get("manifests/v1").await, &[404])
}

async fn a_manifest_of_four_megabytes_is_taken(w: &World) -> Outcome {
    let (_, bytes) = w.image(Some("v1"), |image| image["annotations"] = json!({"x": "x".repeat(4_190_000)})).await?;
    same("the size", w.get("manifests/v1").await.body.len(), bytes.len())
}

async fn a_manifest_that_is_too_large_is_refused(w: &World) -> Outcome {
    let mut image = w.plain().await?;
    image["annotations"] = json!({"x": "x".repeat(8 << 20)});
    let answer = w.put("v1", media_type::MANIFEST, image.to_string().as_bytes()).await;
    expect(&answer, &[413])
}

async fn a_manifest_without_layers_is_taken(w: &World) -> Outcome {
    w.image(Some("v1"), |image| image["layers"] = json!([])).await?;
    expect(&w.get("manifests/v1").await, &[200])
}

async fn layers_that_must_not_be_distributed_may_be_absent(w: &World) -> Outcome {
    let layer = json!({
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "digest": Digest::of(b"licensed"), "size": 8, "urls": ["https://vendor.example/layer"],
    });
    w.image(Some("v1"), |image| image["layers"] = json!([layer])).await?;
    expect(&w.get("manifests/v1").await, &[200])
}

async fn fields_that_nobody_knows_are_kept(w: &World) -> Outcome {
    let edit = |image: &mut serde_json::Value| {
        image["org.example.extra"] = json!({"a": [1, null]});
        image["config"]["org.example.extra"] = json!(true);
        image["layers"][0]["data"] = json!("bGF5ZXI=");
        image["artifactType"] = json!("application/vnd.example.thing");
    };
    let (_, bytes) = w.image(Some("v1"), edit).await?;
    same("the content", &w.get("manifests/v1").await.body[..], bytes.as_bytes())
}

fn index_of(children: &[(&str, &Digest, &str)]) -> serde_json::Value {
    let child = |(kind, digest, bytes): &(&str, &Digest, &str)| json!({"mediaType": kind, "digest": digest, "size": bytes.len()});
    let manifests: Vec<_> = children.iter().map(child).collect();
    json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": manifests})
}

async fn an_index_is_pushed(w: &World) -> Outcome {
    let (digest, bytes) = w.image(None, |_| ()).await?;
    let index = index_of(&[(media_type::MANIFEST, &digest, &bytes)]);
    let (_, bytes) = w.push(Some("v1"), media_type::INDEX, &index).await?;
    let answer = w.get("manifests/v1").await;
    same("the type", answer.header("content-type"), media_type::INDEX)?;
    content("the content", &answer, bytes.as_bytes())
}

async fn an_index_of_an_index_is_pushed(w: &World) -> Outcome {
    let (digest, bytes) = w.image(None, |_| ()).await?;
    let inner = index_of(&[(media_type::MANIFEST, &digest, &bytes)]);
    let (digest, bytes) = w.push(None, media_type::INDEX, &inner).await?;
    let outer = index_of(&[(media_type::INDEX, &digest, &bytes)]);
    w.push(Some("v1"), media_type::INDEX, &outer).await?;
    expect(&w.get("manifests/v1").await, &[200])
}

async fn an_empty_index_is_pushed(w: &World) -> Outcome {
    let empty = serde_json::to_value(Index::of(Vec::new())).unwrap();
    w.push(Some("v1"), media_type::INDEX, &empty).await?;
    same("the type", w.get("manifests/v1").await.header("content-type"), media_type::INDEX)
}

fn missing_subject() -> serde_json::Value {
    json!({"mediaType": media_type::MANIFEST, "digest": Digest::of(b"to come"), "size": 7})
}

async fn a_subject_need_not_be_there(w: &World) -> Outcome {
    w.image(Some("v1"), |image| image["subject"] = missing_subject()).await?;
    expect(&w.get("manifests/v1").await, &[200])
}

async fn a_subject_is_confirmed(w: &World) -> Outcome {
    let mut image = w.plain().await?;
    let answer = w.put("v0", media_type::MANIFEST, image.to_string().as_bytes()).await;
    same("no `OCI-Subject`", answer.header("oci-subject"), "")?;
    image["subject"] = missing_subject();
    let answer = w.put("v1", media_type::MANIFEST, image.to_string().as_bytes()).await;
    expect(&answer, &[201])?;
    same("`OCI-Subject`", answer.header("oci-subject"), &Digest::of(b"to come").to_string())
}

async fn the_subject_of_an_index_is_confirmed(w: &World) -> Outcome {
    let mut index = index_of(&[]);
    index["subject"] = missing_subject();
    let answer = w.put("v1", media_type::INDEX, index.to_string().as_bytes()).await;
    expect(&answer, &[201])?;
    same("`OCI-Subject`", answer.header("oci-subject"), &Digest::of(b"to come").to_string())
}

async fn a_sha512_manifest_is_pushed(w: &World) -> Outcome {
    let bytes = w.plain().await?.to_string();
    let digest = sha512(bytes.as_bytes());
    let answer = w.put(&digest.to_string(), media_type::MANIFEST, bytes.as_bytes()).await;
    expect(&answer, &[201])?;
    same("the digest", answer.header("docker-content-digest"), &digest.to_string())?;
    let pulled = w.get(&format!("manifests/{digest}")).await;
    same("the digest", pulled.header("docker-content-digest"), &digest.to_string())?;
    content("the content", &pulled, bytes.as_bytes())
}

async fn a_tag_is_deleted_and_its_manifest_stays(w: &World) -> Outcome {
    let (digest, _) = w.image(Some("v1"), |_| ()).await?;
    expect(&w.send("DELETE", "manifests/v1", &[], "").await, &[202])?;
    expect(&w.get("manifests/v1").await, &[404])?;
    expect(&w.get(&format!("manifests/{digest}")).await, &[200])
}

async fn a_deleted_manifest_is_gone_with_its_tags(w: &World) -> Outcome {
    let (digest, _) = w.image(Some("v1"), |_| ()).await?;
    w.image(Some("v2"), |_| ()).await?;
    expect(&w.send("DELETE", &format!("manifests/{digest}"), &[], "").await, &[202])?;
    for reference in ["v1", "v2", &digest.to_string()] {
        expect(&w.get(&format!("manifests/{reference}")).await, &[404])?;
    }
    Ok(())
}

async fn what_is_not_there_cannot_be_deleted(w: &World) -> Outcome {
    let digest = Digest::of(b"nothing");
    expect(&w.send("DELETE", &format!("manifests/{digest}"), &[], "").await, &[404])?;
    w.image(Some("v1"), |_| ()).await?;
    for reference in ["none", &digest.to_string()] {
        expect(&w.send("DELETE", &format!("manifests/{reference}"), &[], "").await, &[404])?;
    }
    Ok(())
}
