//! Tags and referrers: end-8 and end-12 of the specification's table.

use artifact::oci::{Digest, media_type};
use serde_json::{Value, json};

use super::{Outcome, World, checks, expect, same, sha512};

checks![
    tags_are_listed_in_order,
    tags_come_in_pages,
    tags_after_a_tag_are_listed,
    a_link_leads_through_all_pages,
    no_tags_are_listed_when_none_are_asked_for,
    a_malformed_number_of_tags_is_refused,
    a_huge_number_of_tags_is_no_trouble,
    tags_of_what_is_not_there_are_not_found,
    what_has_no_referrers_has_an_empty_list,
    a_malformed_subject_is_refused,
    a_referrer_is_listed_with_its_type_and_its_annotations,
    the_config_stands_in_for_an_artifact_type,
    an_index_refers_without_an_artifact_type,
    a_referrer_may_come_before_its_subject,
    referrers_are_filtered_by_artifact_type,
    a_filter_that_nothing_passes_gives_an_empty_list,
    a_deleted_referrer_is_not_listed,
    referrers_of_a_sha512_subject_are_listed,
];

/// Pushes one manifest under these tags, and reads the tags of a listing.
async fn tagged(w: &World, tags: &[&str]) -> Outcome {
    let bytes = w.plain().await?.to_string();
    for tag in tags {
        expect(&w.put(tag, media_type::MANIFEST, bytes.as_bytes()).await, &[201])?;
    }
    Ok(())
}

async fn tags(w: &World, path: &str) -> Result<Vec<String>, String> {
    let answer = w.get(path).await;
    expect(&answer, &[200])?;
    same("the name", answer.json()["name"].as_str().unwrap_or_default(), &w.repo)?;
    serde_json::from_value(answer.json()["tags"].clone()).map_err(|e| format!("{path}: {e}"))
}

async fn tags_are_listed_in_order(w: &World) -> Outcome {
    let mut all = ["b", "a2", "a1", "c", "a10", "Z", "_", "9", "f", "e", "d", "a.b", "a-b"];
    tagged(w, &all).await?;
    all.sort_unstable();
    same("the list", tags(w, "tags/list").await?, all.map(str::to_owned).to_vec())
}

async fn tags_come_in_pages(w: &World) -> Outcome {
    tagged(w, &["a", "b", "c"]).await?;
    same("the first", tags(w, "tags/list?n=2").await?, vec!["a".to_owned(), "b".into()])?;
    same("the next", tags(w, "tags/list?n=2&last=b").await?, vec!["c".to_owned()])?;
    same("none", tags(w, "tags/list?n=2&last=c").await?, vec![])?;
    same("all", tags(w, "tags/list?n=99").await?.len(), 3)
}

async fn tags_after_a_tag_are_listed(w: &World) -> Outcome {
    tagged(w, &["a", "b", "c"]).await?;
    same("the rest", tags(w, "tags/list?last=a").await?, vec!["b".to_owned(), "c".into()])?;
    same("the rest", tags(w, "tags/list?last=aa").await?, vec!["b".to_owned(), "c".into()])
}

async fn a_link_leads_through_all_pages(w: &World) -> Outcome {
    tagged(w, &["a", "b", "c"]).await?;
    let (mut path, mut found) = ("tags/list?n=1".to_owned(), Vec::new());
    for _ in 0..4 {
        let page = tags(w, &path).await?;
        same("the length of a page", page.len(), 1)?;
        found.extend(page);
        let answer = w.get(&path).await;
        let Some(next) = answer.header("link").strip_prefix('<').and_then(|link| link.split('>').next()) else { break };
        same("the relation", answer.header("link").contains("rel=\"next\""), true)?;
        path = next.to_owned();
    }
    same("all pages", found, ["a", "b", "c"].map(str::to_owned).to_vec())
}

async fn no_tags_are_listed_when_none_are_asked_for(w: &World) -> Outcome {
    tagged(w, &["a"]).await?;
    same("the list", tags(w, "tags/list?n=0").await?, vec![])?;
    same("no link", w.get("tags/list?n=0").await.header("link"), "")
}

async fn a_malformed_number_of_tags_is_refused(w: &World) -> Outcome {
    tagged(w, &["a"]).await?;
    for n in ["-1", "x", "1.5"] {
        expect(&w.get(&format!("tags/list?n={n}")).await, &[400])?;
    }
    Ok(())
}

async fn a_huge_number_of_tags_is_no_trouble(w: &World) -> Outcome {
    tagged(w, &["a"]).await?;
    same("the list", tags(w, "tags/list?n=1000000000000").await?, vec!["a".to_owned()])
}

async fn tags_of_what_is_not_there_are_not_found(w: &World) -> Outcome {
    expect(&w.get("tags/list").await, &[404])
}

/// The descriptors of a referrers list.
async fn referrers(w: &World, subject: &Digest, query: &str) -> Result<Vec<Value>, String> {
    let answer = w.get(&format!("referrers/{subject}{query}")).await;
    expect(&answer, &[200])?;
    same("the type", answer.header("content-type"), media_type::INDEX)?;
    let index = answer.json();
    same("`schemaVersion`", &index["schemaVersion"], &json!(2))?;
    same("`mediaType`", &index["mediaType"], &json!(media_type::INDEX))?;
    index["manifests"].as_array().cloned().ok_or_else(|| "there is no list".to_owned())
}

/// A subject, and a referrer of it as `edit` leaves it.
async fn refer(w: &World, edit: impl FnOnce(&mut Value)) -> Result<(Digest, Digest, usize), String> {
    let (subject, bytes) = w.image(Some("subject"), |_| ()).await?;
    let about = json!({"mediaType": media_type::MANIFEST, "digest": subject, "size": bytes.len()});
    let change = |image: &mut Value| {
        image["subject"] = about;
        edit(image);
    };
    let (referrer, bytes) = w.image(None, change).await?;
    Ok((subject, referrer, bytes.len()))
}

async fn what_has_no_referrers_has_an_empty_list(w: &World) -> Outcome {
    let (digest, _) = w.image(Some("v1"), |_| ()).await?;
    same("the list", referrers(w, &digest, "").await?, vec![])?;
    same("the list", referrers(w, &Digest::of(b"nothing"), "").await?, vec![])
}

async fn a_malformed_subject_is_refused(w: &World) -> Outcome {
    w.image(Some("v1"), |_| ()).await?;
    expect(&w.get("referrers/sha256:abc").await, &[400])
}

async fn a_referrer_is_listed_with_its_type_and_its_annotations(w: &World) -> Outcome {
    let edit = |image: &mut Value| {
        image["artifactType"] = json!("application/vnd.example.sbom");
        image["annotations"] = json!({"format": "json"});
    };
    let (subject, referrer, size) = refer(w, edit).await?;
    let right = json!({
        "mediaType": media_type::MANIFEST, "digest": referrer, "size": size,
        "annotations": {"format": "json"}, "artifactType": "application/vnd.example.sbom",
    });
    same("the list", referrers(w, &subject, "").await?, vec![right])
}

async fn the_config_stands_in_for_an_artifact_type(w: &World) -> Outcome {
    let (subject, ..) = refer(w, |image| image["artifactType"] = json!("")).await?;
    let found = referrers(w, &subject, "").await?;
    same("how many", found.len(), 1)?;
    same("the type", &found[0]["artifactType"], &json!(media_type::IMAGE_CONFIG))
}

async fn an_index_refers_without_an_artifact_type(w: &World) -> Outcome {
    let subject = Digest::of(b"to come");
    let mut index = json!({
        "schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [], "annotations": {"n": "1"},
        "subject": {"mediaType": media_type::MANIFEST, "digest": subject, "size": 7},
    });
    w.push(None, media_type::INDEX, &index).await?;
    index["artifactType"] = json!("application/vnd.example.list");
    w.push(None, media_type::INDEX, &index).await?;
    let found = referrers(w, &subject, "").await?;
    let mut types: Vec<_> = found.iter().map(|desc| desc.get("artifactType").and_then(Value::as_str)).collect();
    types.sort_unstable();
    same("the types", types, vec![None, Some("application/vnd.example.list")])?;
    same("the annotations", &found[0]["annotations"], &json!({"n": "1"}))
}

async fn a_referrer_may_come_before_its_subject(w: &World) -> Outcome {
    let subject = w.plain().await?.to_string();
    let digest = Digest::of(subject.as_bytes());
    let about = json!({"mediaType": media_type::MANIFEST, "digest": digest, "size": subject.len()});
    w.image(None, |image| image["subject"] = about).await?;
    same("before", referrers(w, &digest, "").await?.len(), 1)?;
    expect(&w.put("v1", media_type::MANIFEST, subject.as_bytes()).await, &[201])?;
    same("after", referrers(w, &digest, "").await?.len(), 1)
}

async fn referrers_are_filtered_by_artifact_type(w: &World) -> Outcome {
    let (subject, ..) = refer(w, |image| image["artifactType"] = json!("a/sbom+json")).await?;
    refer(w, |image| image["artifactType"] = json!("a/signature")).await?;
    same("all", referrers(w, &subject, "").await?.len(), 2)?;
    for query in ["?artifactType=a/sbom%2Bjson", "?artifactType=a%2Fsbom%2Bjson"] {
        let answer = w.get(&format!("referrers/{subject}{query}")).await;
        same("`OCI-Filters-Applied`", answer.header("oci-filters-applied"), "artifactType")?;
        let found = referrers(w, &subject, query).await?;
        same("how many", found.len(), 1)?;
        same("the type", &found[0]["artifactType"], &json!("a/sbom+json"))?;
    }
    Ok(())
}

async fn a_filter_that_nothing_passes_gives_an_empty_list(w: &World) -> Outcome {
    let (subject, ..) = refer(w, |image| image["artifactType"] = json!("a/sbom")).await?;
    same("the list", referrers(w, &subject, "?artifactType=a/none").await?, vec![])
}

async fn a_deleted_referrer_is_not_listed(w: &World) -> Outcome {
    let (subject, referrer, _) = refer(w, |image| image["artifactType"] = json!("a/sbom")).await?;
    expect(&w.send("DELETE", &format!("manifests/{referrer}"), &[], "").await, &[202])?;
    same("the list", referrers(w, &subject, "").await?, vec![])
}

async fn referrers_of_a_sha512_subject_are_listed(w: &World) -> Outcome {
    let subject = sha512(b"to come");
    let about = json!({"mediaType": media_type::MANIFEST, "digest": subject, "size": 7});
    w.image(None, |image| image["subject"] = about).await?;
    same("how many", referrers(w, &subject, "").await?.len(), 1)
}
