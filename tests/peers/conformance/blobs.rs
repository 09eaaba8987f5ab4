//! Blobs: end-1, end-2 and end-10 of the specification's table.

use artifact::oci::Digest;

use super::{Outcome, World, checks, content, expect, same, sha512};

checks![
    the_base_path_answers,
    a_blob_is_pulled_with_its_digest,
    the_head_of_a_blob_has_its_size_and_its_digest,
    what_is_not_there_is_not_found,
    an_error_has_the_shape_and_a_code_of_the_specification,
    a_digest_of_another_form_is_no_blob,
    one_range_of_a_blob_is_pulled,
    a_range_without_an_end_or_without_a_start_is_pulled,
    a_range_beyond_the_end_is_refused,
    several_ranges_or_a_malformed_one_give_no_wrong_bytes,
    a_blob_is_deleted,
    a_blob_that_is_not_there_cannot_be_deleted,
    a_blob_of_one_repository_is_not_in_another,
];

async fn the_base_path_answers(w: &World) -> Outcome {
    expect(&w.get("/v2/").await, &[200])
}

async fn a_blob_is_pulled_with_its_digest(w: &World) -> Outcome {
    let digest = w.blob(b"hello").await?;
    let answer = w.get(&format!("blobs/{digest}")).await;
    expect(&answer, &[200])?;
    content("the content", &answer, b"hello")?;
    same("the digest", answer.header("docker-content-digest"), &digest.to_string())
}

async fn the_head_of_a_blob_has_its_size_and_its_digest(w: &World) -> Outcome {
    let digest = w.blob(b"hello").await?;
    let answer = w.send("HEAD", &format!("blobs/{digest}"), &[], "").await;
    expect(&answer, &[200])?;
    same("the length", answer.header("content-length"), "5")?;
    same("the body", answer.body.len(), 0)?;
    same("the digest", answer.header("docker-content-digest"), &digest.to_string())
}

async fn what_is_not_there_is_not_found(w: &World) -> Outcome {
    let digest = Digest::of(b"nothing");
    for repository in [&w.other, &w.repo] {
        for method in ["GET", "HEAD"] {
            for path in [format!("blobs/{digest}"), format!("manifests/{digest}"), "manifests/none".into()] {
                expect(&w.send(method, &format!("/v2/{repository}/{path}"), &[], "").await, &[404])?;
            }
        }
        w.blob(b"so that there is a repository").await?;
    }
    Ok(())
}

async fn an_error_has_the_shape_and_a_code_of_the_specification(w: &World) -> Outcome {
    w.image(Some("v1"), |_| ()).await?;
    let digest = Digest::of(b"nothing");
    for (path, code) in [
        (format!("blobs/{digest}"), "BLOB_UNKNOWN"),
        (format!("manifests/{digest}"), "MANIFEST_UNKNOWN"),
        ("manifests/none".into(), "MANIFEST_UNKNOWN"),
        (format!("/v2/{}/none/tags/list", w.other), "NAME_UNKNOWN"),
    ] {
        same(&path, w.get(&path).await.codes(), vec![code.to_owned()])?;
    }
    Ok(())
}

async fn a_digest_of_another_form_is_no_blob(w: &World) -> Outcome {
    w.blob(b"x").await?;
    for digest in ["sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:ABC"] {
        expect(&w.get(&format!("blobs/{digest}")).await, &[400, 404])?;
    }
    Ok(())
}

async fn one_range_of_a_blob_is_pulled(w: &World) -> Outcome {
    let digest = w.blob(b"0123456789").await?;
    for (range, part, shown) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=2-5", "2345", "bytes 2-5/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
        ("bytes=0-9", "0123456789", "bytes 0-9/10"),
    ] {
        let answer = w.send("GET", &format!("blobs/{digest}"), &[("range", range)], "").await;
        expect(&answer, &[206])?;
        content(range, &answer, part.as_bytes())?;
        same(range, answer.header("content-range"), shown)?;
    }
    Ok(())
}

async fn a_range_without_an_end_or_without_a_start_is_pulled(w: &World) -> Outcome {
    let digest = w.blob(b"0123456789").await?;
    for (range, part) in [("bytes=7-", "789"), ("bytes=-3", "789"), ("bytes=-99", "0123456789")] {
        let answer = w.send("GET", &format!("blobs/{digest}"), &[("range", range)], "").await;
        expect(&answer, &[206])?;
        content(range, &answer, part.as_bytes())?;
    }
    Ok(())
}

async fn a_range_beyond_the_end_is_refused(w: &World) -> Outcome {
    let digest = w.blob(b"0123456789").await?;
    for range in ["bytes=10-", "bytes=99-100"] {
        let answer = w.send("GET", &format!("blobs/{digest}"), &[("range", range)], "").await;
        expect(&answer, &[416])?;
        same(range, answer.header("content-range"), "bytes */10")?;
    }
    Ok(())
}

async fn several_ranges_or_a_malformed_one_give_no_wrong_bytes(w: &World) -> Outcome {
    let digest = w.blob(b"0123456789").await?;
    for range in ["bytes=0-1,4-5", "bytes=5-2", "lines=0-1", "bytes=x"] {
        let answer = w.send("GET", &format!("blobs/{digest}"), &[("range", range)], "").await;
        expect(&answer, &[200, 206, 416])?;
        if answer.status == 200 {
            content(range, &answer, b"0123456789")?;
        }
    }
    Ok(())
}

async fn a_blob_is_deleted(w: &World) -> Outcome {
    let digest = w.blob(b"hello").await?;
    expect(&w.send("DELETE", &format!("blobs/{digest}"), &[], "").await, &[202])?;
    expect(&w.get(&format!("blobs/{digest}")).await, &[404])?;
    w.blob(b"hello").await?;
    expect(&w.get(&format!("blobs/{digest}")).await, &[200])
}

async fn a_blob_that_is_not_there_cannot_be_deleted(w: &World) -> Outcome {
    w.blob(b"so that there is a repository").await?;
    for digest in [Digest::of(b"nothing"), sha512(b"nothing")] {
        expect(&w.send("DELETE", &format!("blobs/{digest}"), &[], "").await, &[404])?;
    }
    Ok(())
}

async fn a_blob_of_one_repository_is_not_in_another(w: &World) -> Outcome {
    let digest = w.blob(b"only here").await?;
    expect(&w.get(&format!("/v2/{}/blobs/{digest}", w.other)).await, &[404])
}
