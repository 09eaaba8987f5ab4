//! Tar archives byte by byte: what no tar program would write, too.

/// One header with its data.
#[derive(Clone)]
pub(crate) struct Entry {
    header: [u8; 512],
    data: Vec<u8>,
    checksum: bool,
}

impl Entry {
    /// An entry with a ustar header of this type.
    pub(crate) fn new(flag: u8, name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Self {
        let mut entry = Self { header: [0; 512], data: data.as_ref().to_vec(), checksum: true }
            .set(0, name.as_ref())
            .mode(if flag == b'5' { 0o755 } else { 0o644 })
            .set(108, b"0000000\0")
            .set(116, b"0000000\0")
            .set(136, b"14705512400\0")
            .set(156, &[flag])
            .set(257, b"ustar\x0000");
        entry = entry.clone().size(entry.data.len() as u64);
        entry
    }

    pub(crate) fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Self {
        Self::new(b'0', name, data)
    }

    pub(crate) fn dir(name: impl AsRef<[u8]>) -> Self {
        Self::new(b'5', name, b"")
    }

    pub(crate) fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self::new(b'2', name, b"").mode(0o777).set(157, target.as_ref())
    }

    pub(crate) fn hard(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self::new(b'1', name, b"").set(157, target.as_ref())
    }

    /// A PAX header with these records.
    pub(crate) fn pax(records: &[(&str, &str)]) -> Self {
        let records: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value.as_bytes())).collect();
        Self::new(b'x', "PaxHeaders/x", records)
    }

    /// A GNU long name (`L`) or long link target (`K`).
    pub(crate) fn long(flag: u8, name: &str) -> Self {
        Self::new(flag, "././@LongLink", [name.as_bytes(), b"\0"].concat()).gnu()
    }

    pub(crate) fn mode(self, mode: u32) -> Self {
        self.set(100, format!("{mode:07o}\0").as_bytes())
    }

    /// What the header says about the size, whatever the data.
    pub(crate) fn size(self, size: u64) -> Self {
        self.set(124, format!("{size:011o}\0").as_bytes())
    }

    /// Bytes of the header, at an offset.
    pub(crate) fn set(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.header[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn gnu(self) -> Self {
        self.set(257, b"ustar  \0")
    }

    pub(crate) fn v7(self) -> Self {
        self.set(257, &[0; 8])
    }

    /// Leaves the checksum field as it was set.
    pub(crate) fn raw_checksum(mut self, field: &[u8]) -> Self {
        self.checksum = false;
        self.set(148, field)
    }

    pub(crate) fn bytes(mut self) -> Vec<u8> {
        if self.checksum {
            self = self.set(148, b"        ");
            let sum: u32 = self.header.iter().map(|b| u32::from(*b)).sum();
            self = self.set(148, format!("{sum:06o}\0 ").as_bytes());
        }
        let padding = self.data.len().wrapping_neg() % 512;
        [&self.header[..], &self.data, &vec![0; padding]].concat()
    }
}

/// One PAX record.
pub(crate) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while rest + len.to_string().len() != len {
        len = rest + len.to_string().len();
    }
    [format!("{len} {key}=").as_bytes(), value, b"\n"].concat()
}

/// These entries and an end marker.
pub(crate) fn archive(entries: impl IntoIterator<Item = Entry>) -> Vec<u8> {
    let mut all = entries.into_iter().flat_map(Entry::bytes).collect::<Vec<u8>>();
    all.extend([0; 1024]);
    all
}
