//! The error codes of registries.

/// An error code of the distribution specification ("Error Codes"), or one of two widespread extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServerCode {
    /// `BLOB_UNKNOWN`
    BlobUnknown,
    /// `BLOB_UPLOAD_INVALID`
    BlobUploadInvalid,
    /// `BLOB_UPLOAD_UNKNOWN`
    BlobUploadUnknown,
    /// `DIGEST_INVALID`
    DigestInvalid,
    /// `MANIFEST_BLOB_UNKNOWN`
    ManifestBlobUnknown,
    /// `MANIFEST_INVALID`
    ManifestInvalid,
    /// `MANIFEST_UNKNOWN`
    ManifestUnknown,
    /// `NAME_INVALID`
    NameInvalid,
    /// `NAME_UNKNOWN`
    NameUnknown,
    /// `SIZE_INVALID`
    SizeInvalid,
    /// `UNAUTHORIZED`
    Unauthorized,
    /// `DENIED`
    Denied,
    /// `UNSUPPORTED`
    Unsupported,
    /// `TOOMANYREQUESTS`
    TooManyRequests,
    /// `TAG_IMMUTABLE`, from registries with immutable tags.
    TagImmutable,
    /// `QUOTA_EXCEEDED`, from registries with quotas.
    QuotaExceeded,
    /// `UNKNOWN`, or any other code.
    Unknown,
}

/// The codes with their names in error documents.
const NAMES: [(ServerCode, &str); 17] = [
    (ServerCode::BlobUnknown, "BLOB_UNKNOWN"),
    (ServerCode::BlobUploadInvalid, "BLOB_UPLOAD_INVALID"),
    (ServerCode::BlobUploadUnknown, "BLOB_UPLOAD_UNKNOWN"),
    (ServerCode::DigestInvalid, "DIGEST_INVALID"),
    (ServerCode::ManifestBlobUnknown, "MANIFEST_BLOB_UNKNOWN"),
    (ServerCode::ManifestInvalid, "MANIFEST_INVALID"),
    (ServerCode::ManifestUnknown, "MANIFEST_UNKNOWN"),
    (ServerCode::NameInvalid, "NAME_INVALID"),
    (ServerCode::NameUnknown, "NAME_UNKNOWN"),
    (ServerCode::SizeInvalid, "SIZE_INVALID"),
    (ServerCode::Unauthorized, "UNAUTHORIZED"),
    (ServerCode::Denied, "DENIED"),
    (ServerCode::Unsupported, "UNSUPPORTED"),
    (ServerCode::TooManyRequests, "TOOMANYREQUESTS"),
    (ServerCode::TagImmutable, "TAG_IMMUTABLE"),
    (ServerCode::QuotaExceeded, "QUOTA_EXCEEDED"),
    (ServerCode::Unknown, "UNKNOWN"),
];

impl ServerCode {
    /// Its name in an error document: `BLOB_UNKNOWN`.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(code, _)| *code == self).map_or("UNKNOWN", |(_, name)| name)
    }
}

impl From<&str> for ServerCode {
    fn from(text: &str) -> Self {
        NAMES.iter().find(|(_, name)| *name == text).map_or(Self::Unknown, |(code, _)| *code)
    }
}

impl serde::Serialize for ServerCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_its_name_and_any_other_name_is_unknown() {
        for (code, name) in NAMES {
            assert_eq!((ServerCode::from(name), code.name()), (code, name));
        }
        assert_eq!(ServerCode::from("SOMETHING"), ServerCode::Unknown);
    }
}
