//! Pushing blobs: end-4, end-5, end-6, end-11, end-13 and end-14 of the specification's table.

use artifact::oci::Digest;

use super::{Outcome, World, checks, content, expect, location, same, sha512, with_digest};

checks![
    a_blob_is_pushed_in_two_requests,
    a_blob_is_pushed_in_one_request,
    an_empty_blob_is_pushed,
    a_blob_is_pushed_again,
    a_blob_with_another_digest_is_refused,
    a_blob_with_an_unknown_algorithm_is_refused,
    a_blob_is_pushed_in_chunks,
    the_last_chunk_may_come_with_the_closing_request,
    a_blob_is_streamed_without_ranges,
    a_chunk_out_of_order_is_refused_and_the_upload_goes_on,
    a_last_chunk_out_of_order_is_refused,
    a_malformed_range_is_refused,
    chunks_with_another_digest_are_refused,
    an_upload_without_a_digest_is_not_closed,
    the_status_of_an_upload_is_where_it_stands,
    an_upload_is_cancelled,
    an_upload_that_does_not_exist_is_not_found,
    an_upload_belongs_to_its_repository,
    a_blob_is_mounted_from_another_repository,
    a_mount_of_what_is_not_there_becomes_an_upload,
    a_mount_without_a_source_is_one_or_becomes_an_upload,
    a_sha512_blob_is_pushed_in_two_requests,
    a_sha512_blob_is_pushed_in_one_request,
    a_sha512_blob_is_pushed_in_chunks,
    a_sha512_blob_is_mounted,
];

async fn is_there(w: &World, digest: &Digest, right: &[u8]) -> Outcome {
    let answer = w.get(&format!("blobs/{digest}")).await;
    expect(&answer, &[200])?;
    content("the content", &answer, right)
}

async fn is_absent(w: &World, digest: &Digest) -> Outcome {
    expect(&w.get(&format!("blobs/{digest}")).await, &[404])
}

async fn a_blob_is_pushed_in_two_requests(w: &World) -> Outcome {
    let digest = Digest::of(b"hello");
    let answer = w.send("PUT", &with_digest(&w.start().await?, &digest), &[], "hello").await;
    expect(&answer, &[201])?;
    let pulled = w.get(&location(&answer)?).await;
    expect(&pulled, &[200])?;
    content("the content at the `Location`", &pulled, b"hello")
}

async fn in_one_request(w: &World, text: &'static str, digest: &Digest) -> Outcome {
    let answer = w.send("POST", &format!("blobs/uploads/?digest={digest}"), &[], text).await;
    expect(&answer, &[201])?;
    location(&answer)?;
    is_there(w, digest, text.as_bytes()).await
}

async fn a_blob_is_pushed_in_one_request(w: &World) -> Outcome {
    in_one_request(w, "hello", &Digest::of(b"hello")).await
}

async fn an_empty_blob_is_pushed(w: &World) -> Outcome {
    let digest = w.blob(b"").await?;
    is_there(w, &digest, b"").await?;
    let head = w.send("HEAD", &format!("blobs/{digest}"), &[], "").await;
    same("the length", head.header("content-length"), "0")
}

async fn a_blob_is_pushed_again(w: &World) -> Outcome {
    let digest = w.blob(b"hello").await?;
    w.blob(b"hello").await?;
    is_there(w, &digest, b"hello").await
}

async fn a_blob_with_another_digest_is_refused(w: &World) -> Outcome {
    let digest = Digest::of(b"hello");
    let answer = w.send("PUT", &with_digest(&w.start().await?, &digest), &[], "hellO").await;
    expect(&answer, &[400])?;
    same("the code", answer.codes(), vec!["DIGEST_INVALID".to_owned()])?;
    let answer = w.send("POST", &format!("blobs/uploads/?digest={digest}"), &[], "hellO").await;
    expect(&answer, &[400, 202])?;
    is_absent(w, &digest).await?;
    is_absent(w, &Digest::of(b"hellO")).await
}

async fn a_blob_with_an_unknown_algorithm_is_refused(w: &World) -> Outcome {
    for digest in ["md5:5d41402abc4b2a76b9719d911017c592", "sha256:short", "hello"] {
        let close = with_digest(&w.start().await?, digest);
        expect(&w.send("PUT", &close, &[], "hello").await, &[400])?;
    }
    Ok(())
}

/// One chunk of an upload.
async fn chunk(w: &World, at: &str, start: usize, text: &'static str) -> Result<String, String> {
    let range = format!("{start}-{}", start + text.len() - 1);
    let answer = w.send("PATCH", at, &[("content-range", &range)], text).await;
    expect(&answer, &[202])?;
    same("the range", answer.header("range"), &format!("0-{}", start + text.len() - 1))?;
    location(&answer)
}

async fn a_blob_is_pushed_in_chunks(w: &World) -> Outcome {
    let at = chunk(w, &w.start().await?, 0, "hello ").await?;
    let at = chunk(w, &at, 6, "world").await?;
    let digest = Digest::of(b"hello world");
    let answer = w.send("PUT", &with_digest(&at, &digest), &[], "").await;
    expect(&answer, &[201])?;
    location(&answer)?;
    is_there(w, &digest, b"hello world").await
}

async fn the_last_chunk_may_come_with_the_closing_request(w: &World) -> Outcome {
    let at = chunk(w, &w.start().await?, 0, "hello ").await?;
    let digest = Digest::of(b"hello world");
    let close = with_digest(&at, &digest);
    expect(&w.send("PUT", &close, &[("content-range", "6-10")], "world").await, &[201])?;
    is_there(w, &digest, b"hello world").await
}

async fn a_blob_is_streamed_without_ranges(w: &World) -> Outcome {
    let answer = w.send("PATCH", &w.start().await?, &[], "hello ").await;
    expect(&answer, &[202])?;
    let answer = w.send("PATCH", &location(&answer)?, &[], "world").await;
    expect(&answer, &[202])?;
    let digest = Digest::of(b"hello world");
    expect(&w.send("PUT", &with_digest(&location(&answer)?, &digest), &[], "").await, &[201])?;
    is_there(w, &digest, b"hello world").await
}

async fn a_chunk_out_of_order_is_refused_and_the_upload_goes_on(w: &World) -> Outcome {
    let at = w.start().await?;
    expect(&w.send("PATCH", &at, &[("content-range", "6-10")], "world").await, &[416])?;
    let at = chunk(w, &at, 0, "hello ").await?;
    for range in ["0-4", "7-11", "5-9"] {
        expect(&w.send("PATCH", &at, &[("content-range", range)], "world").await, &[416])?;
    }
    let status = w.get(&at).await;
    expect(&status, &[204])?;
    same("the range", status.header("range"), "0-5")?;
    let at = chunk(w, &location(&status)?, 6, "world").await?;
    let digest = Digest::of(b"hello world");
    expect(&w.send("PUT", &with_digest(&at, &digest), &[], "").await, &[201])?;
    is_there(w, &digest, b"hello world").await
}

async fn a_last_chunk_out_of_order_is_refused(w: &World) -> Outcome {
    let at = chunk(w, &w.start().await?, 0, "hello ").await?;
    let digest = Digest::of(b"hello world");
    let close = with_digest(&at, &digest);
    expect(&w.send("PUT", &close, &[("content-range", "7-11")], "world").await, &[416])?;
    is_absent(w, &digest).await
}

async fn a_malformed_range_is_refused(w: &World) -> Outcome {
    for range in ["5-0", "x", "-5", "bytes 0-4/5"] {
        let at = w.start().await?;
        expect(&w.send("PATCH", &at, &[("content-range", range)], "hello").await, &[400, 416])?;
    }
    Ok(())
}

async fn chunks_with_another_digest_are_refused(w: &World) -> Outcome {
    let at = chunk(w, &w.start().await?, 0, "hello ").await?;
    let digest = Digest::of(b"hello");
    expect(&w.send("PUT", &with_digest(&at, &digest), &[], "").await, &[400])?;
    is_absent(w, &digest).await
}

async fn an_upload_without_a_digest_is_not_closed(w: &World) -> Outcome {
    expect(&w.send("PUT", &w.start().await?, &[], "hello").await, &[400])?;
    is_absent(w, &Digest::of(b"hello")).await
}

async fn the_status_of_an_upload_is_where_it_stands(w: &World) -> Outcome {
    let at = w.start().await?;
    let status = w.get(&at).await;
    expect(&status, &[204])?;
    let at = chunk(w, &location(&status)?, 0, "hello").await?;
    let status = w.get(&at).await;
    expect(&status, &[204])?;
    location(&status)?;
    same("the range", status.header("range"), "0-4")
}

async fn an_upload_is_cancelled(w: &World) -> Outcome {
    let at = chunk(w, &w.start().await?, 0, "hello").await?;
    expect(&w.send("DELETE", &at, &[], "").await, &[204])?;
    expect(&w.get(&at).await, &[404])?;
    let close = with_digest(&at, Digest::of(b"hello"));
    expect(&w.send("PUT", &close, &[], "").await, &[404])
}

async fn an_upload_that_does_not_exist_is_not_found(w: &World) -> Outcome {
    w.blob(b"so that there is a repository").await?;
    let at = "blobs/uploads/00000000-0000-4000-8000-000000000000";
    for method in ["GET", "PATCH", "DELETE"] {
        expect(&w.send(method, at, &[], "").await, &[404])?;
    }
    Ok(())
}

async fn an_upload_belongs_to_its_repository(w: &World) -> Outcome {
    let at = w.start().await?.replacen(&w.repo, &w.other, 1);
    expect(&w.send("PATCH", &at, &[], "hello").await, &[404])
}

async fn mount(w: &World, digest: &Digest) -> Outcome {
    let path = format!("/v2/{}/blobs/uploads/?mount={digest}&from={}", w.other, w.repo);
    let answer = w.send("POST", &path, &[], "").await;
    expect(&answer, &[201])?;
    expect(&w.get(&location(&answer)?).await, &[200])?;
    let pulled = w.get(&format!("/v2/{}/blobs/{digest}", w.other)).await;
    content("the content", &pulled, b"hello")
}

async fn a_blob_is_mounted_from_another_repository(w: &World) -> Outcome {
    let digest = w.blob(b"hello").await?;
    mount(w, &digest).await
}

async fn a_mount_of_what_is_not_there_becomes_an_upload(w: &World) -> Outcome {
    let digest = Digest::of(b"hello");
    for from in [&w.repo, &w.other] {
        let path = format!("blobs/uploads/?mount={digest}&from={from}");
        let answer = w.send("POST", &path, &[], "").await;
        expect(&answer, &[202])?;
        location(&answer)?;
    }
    is_absent(w, &digest).await
}

async fn a_mount_without_a_source_is_one_or_becomes_an_upload(w: &World) -> Outcome {
    let digest = w.blob(b"hello").await?;
    let answer = w.send("POST", &format!("/v2/{}/blobs/uploads/?mount={digest}", w.other), &[], "").await;
    expect(&answer, &[201, 202])?;
    let pulled = w.get(&format!("/v2/{}/blobs/{digest}", w.other)).await;
    expect(&pulled, if answer.status == 201 { &[200] } else { &[404] })
}

async fn a_sha512_blob_is_pushed_in_two_requests(w: &World) -> Outcome {
    let digest = sha512(b"hello");
    expect(&w.send("PUT", &with_digest(&w.start().await?, &digest), &[], "hello").await, &[201])?;
    is_there(w, &digest, b"hello").await
}

async fn a_sha512_blob_is_pushed_in_one_request(w: &World) -> Outcome {
    in_one_request(w, "hello", &sha512(b"hello")).await
}

async fn a_sha512_blob_is_pushed_in_chunks(w: &World) -> Outcome {
    let answer = w.send("POST", "blobs/uploads/?digest-algorithm=sha512", &[], "").await;
    expect(&answer, &[202])?;
    let at = chunk(w, &location(&answer)?, 0, "hello ").await?;
    let at = chunk(w, &at, 6, "world").await?;
    let digest = sha512(b"hello world");
    expect(&w.send("PUT", &with_digest(&at, &digest), &[], "").await, &[201])?;
    let pulled = w.get(&format!("blobs/{digest}")).await;
    same("the digest", pulled.header("docker-content-digest"), &digest.to_string())?;
    content("the content", &pulled, b"hello world")
}

async fn a_sha512_blob_is_mounted(w: &World) -> Outcome {
    let digest = sha512(b"hello");
    expect(&w.send("PUT", &with_digest(&w.start().await?, &digest), &[], "hello").await, &[201])?;
    mount(w, &digest).await
}
