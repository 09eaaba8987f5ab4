//! Room on a file system: unpacking stops before it is full, so that other programs can still write.

use std::{fs::File, path::Path};

use rustix::fs::fstatvfs;

use crate::error::{Error, Kind, Result};

/// Of each file system, this part stays free: 5 %.
const KEPT_PART: u64 = 20;

/// No more than this is kept free on large file systems.
const KEPT: Amounts = Amounts { bytes: 1 << 30, files: 100_000 };

/// How much is written between two looks at the file system, which others fill, too: no more than this,
const STEP: Amounts = Amounts { bytes: 16 << 20, files: 1000 };

/// and no more than this part of the room: several that unpack at a time, of which none knows what the others are about
/// to write, leave the disk as free as one does.
const STEP_PART: u64 = 256;

/// The least bytes that a file, directory or link takes.
const BLOCK: u64 = 4096;

/// Bytes, and files of any sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Amounts {
    bytes: u64,
    files: u64,
}

impl Amounts {
    fn each(self, other: Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self { bytes: combine(self.bytes, other.bytes), files: combine(self.files, other.files) }
    }

    fn covers(self, other: Self) -> bool {
        self.bytes >= other.bytes && self.files >= other.files
    }
}

/// A file system: what it holds, and how much of that is free for this user. A total of 0 means that it does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Space {
    total: Amounts,
    free: Amounts,
}

impl Space {
    fn of(directory: &File) -> Option<Self> {
        let found = fstatvfs(directory).ok()?;
        Some(Self {
            total: Amounts { bytes: found.f_blocks.saturating_mul(found.f_frsize), files: found.f_files },
            free: Amounts { bytes: found.f_bavail.saturating_mul(found.f_frsize), files: found.f_favail },
        })
    }

    /// What stays free: 5 %, at most [`KEPT`], and at most half of what is free now, so that a disk that is nearly full
    /// takes small artifacts.
    fn kept(self) -> Amounts {
        let part = self.total.each(KEPT, |total, most| (total / KEPT_PART).min(most));
        part.each(self.free, |part, free| part.min(free / 2))
    }

    /// What may be written now if `kept` stays free.
    fn room(self, kept: Amounts) -> Amounts {
        let left = self.free.each(kept, u64::saturating_sub);
        left.each(self.total, |left, total| if total == 0 { u64::MAX } else { left })
    }
}

/// What is written of this room before the next look.
fn step(room: Amounts) -> Amounts {
    room.each(STEP, |room, most| (room / STEP_PART).min(most))
}

/// The room that is left below a directory.
pub(crate) struct Room {
    /// The directory, for messages.
    place: String,
    measure: Box<dyn Fn() -> Option<Space> + Send>,
    kept: Amounts,
    /// What may be written before the next look.
    left: Amounts,
}

impl Room {
    /// The room for content of `place`, of which `directory` is in the same file system. Nothing has been looked at
    /// yet.
    pub(crate) fn below(place: &Path, directory: File) -> Self {
        Self::new(place, Box::new(move || Space::of(&directory)))
    }

    fn new(place: &Path, measure: Box<dyn Fn() -> Option<Space> + Send>) -> Self {
        let kept = measure().map_or_else(Amounts::default, Space::kept);
        Self { place: place.display().to_string(), measure, kept, left: Amounts::default() }
    }

    /// Errors (kind `NoSpace`): there is no room for this many bytes.
    pub(crate) fn expect(&mut self, bytes: u64) -> Result<()> {
        // Others may fill it while all this is written.
        self.left = step(self.look(Amounts { bytes, files: 0 })?);
        Ok(())
    }

    /// Takes room for bytes that are written next.
    ///
    /// Errors (kind `NoSpace`): too little would stay free.
    pub(crate) fn write(&mut self, bytes: usize) -> Result<()> {
        self.take(Amounts { bytes: bytes as u64, files: 0 })
    }

    /// Takes room for a file, directory or link that is made next; errors are those of [`Self::write`].
    pub(crate) fn make(&mut self) -> Result<()> {
        self.take(Amounts { bytes: BLOCK, files: 1 })
    }

    fn take(&mut self, wanted: Amounts) -> Result<()> {
        if !self.left.covers(wanted) {
            self.left = step(self.look(wanted)?).each(wanted, u64::max);
        }
        self.left = self.left.each(wanted, u64::saturating_sub);
        Ok(())
    }

    /// The room that a new look at the file system finds: at least what is wanted. A failure is not the end: the writing
    /// itself tells more.
    fn look(&self, wanted: Amounts) -> Result<Amounts> {
        let Some(space) = (self.measure)() else { return Ok(Amounts { bytes: u64::MAX, files: u64::MAX }) };
        let room = space.room(self.kept);
        if room.covers(wanted) { Ok(room) } else { Err(self.refuse(space.free, room, wanted)) }
    }

    fn refuse(&self, free: Amounts, room: Amounts, wanted: Amounts) -> Error {
        let (free, kept, wanted, what) = if room.bytes < wanted.bytes {
            (free.bytes, self.kept.bytes, wanted.bytes, "bytes")
        } else {
            (free.files, self.kept.files, wanted.files, "inodes")
        };
        let message =
            format!("`{}` has {free} free {what}, of which {kept} stay free; {wanted} more are needed", self.place);
        Error::new(Kind::NoSpace, message)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use super::*;

    const MIB: u64 = 1 << 20;

    fn space(total: u64, free: u64) -> Space {
        Space { total: Amounts { bytes: total, files: 0 }, free: Amounts { bytes: free, files: 0 } }
    }

    /// A disk that the room itself fills, and how often it was looked at.
    fn disk(total: u64, free: u64) -> (Room, Arc<AtomicU64>, Arc<AtomicU64>) {
        let (left, looks) = (Arc::new(AtomicU64::new(free)), Arc::new(AtomicU64::new(0)));
        (room_of(total, &left, &looks), left, looks)
    }

    fn room_of(total: u64, left: &Arc<AtomicU64>, looks: &Arc<AtomicU64>) -> Room {
        let (seen, counted) = (Arc::clone(left), Arc::clone(looks));
        let measure = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Some(space(total, seen.load(Ordering::Relaxed)))
        };
        Room::new(Path::new("out"), Box::new(measure))
    }

    fn fill(room: &mut Room, left: &AtomicU64, chunk: usize) -> Error {
        loop {
            if let Err(error) = room.write(chunk) {
                return error;
            }
            left.fetch_sub(chunk as u64, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_twentieth_of_the_disk_stays_free() {
        for (total, chunk) in [(3 << 30, 128 << 10), (256 << 10, 1000), (MIB, 128 << 10)] {
            let (mut room, left, _) = disk(total, total);
            let error = fill(&mut room, &left, chunk);
            assert_eq!(error.kind(), Kind::NoSpace);
            let free = left.load(Ordering::Relaxed);
            assert!((total / 20..total / 20 + chunk as u64).contains(&free), "{total}: {free}");
            let message = error.to_string();
            let kept = total / 20;
            assert_eq!(
                message,
                format!("`out` has {free} free bytes, of which {kept} stay free; {chunk} more are needed")
            );
        }
    }

    #[test]
    fn a_large_disk_and_one_that_is_nearly_full_keep_less() {
        assert_eq!(space(4 << 40, 2 << 40).kept().bytes, 1 << 30);
        assert_eq!(space(1 << 30, 10 * MIB).kept().bytes, 5 * MIB);
        assert_eq!(space(1 << 30, 0).kept().bytes, 0);
    }

    #[test]
    fn others_who_fill_the_disk_meanwhile_are_seen_after_16_mib() {
        let (mut room, left, _) = disk(1 << 30, 1 << 30);
        room.write(1).unwrap();
        left.store(MIB, Ordering::Relaxed);
        let mut written = 0;
        while room.write(1 << 20).is_ok() {
            written += MIB;
        }
        assert!(written < 16 * MIB, "{written}");
    }

    #[test]
    fn they_are_seen_too_where_the_size_was_known_before() {
        let (mut room, left, _) = disk(1 << 40, 1 << 40);
        room.expect(100 << 30).unwrap();
        left.store(MIB, Ordering::Relaxed);
        let written = (0..100).take_while(|_| room.write(1 << 20).is_ok()).count();
        assert!(written <= 16, "{written}");
    }

    #[test]
    fn the_disk_is_looked_at_once_in_16_mib_and_not_for_every_chunk() {
        let (mut room, _, looks) = disk(1 << 40, 1 << 40);
        for _ in 0..160 {
            room.write(1 << 20).unwrap();
        }
        assert_eq!(looks.load(Ordering::Relaxed), 1 + 10);
    }

    #[test]
    fn several_that_fill_a_disk_at_once_leave_it_as_free_as_one_does() {
        const CHUNK: u64 = 128 << 10;
        let total = 200 * MIB;
        // In turns, and one after the other, while those before still have what their last look gave them.
        for run in [1, 10_000] {
            let (left, looks) = (Arc::new(AtomicU64::new(total)), Arc::default());
            let mut rooms: Vec<Room> = (0..6).map(|_| room_of(total, &left, &looks)).collect();
            rooms.iter_mut().for_each(|room| room.write(1).unwrap());
            while !rooms.is_empty() {
                rooms.retain_mut(|room| {
                    (0..run).all(|_| {
                        let fits = room.write(CHUNK as usize).is_ok();
                        left.fetch_sub(if fits { CHUNK } else { 0 }, Ordering::Relaxed);
                        fits
                    })
                });
            }
            let free = left.load(Ordering::Relaxed);
            // A file system of this size keeps 10 MiB free; five may each have 1/256 of the room left from their look.
            let least = if run == 1 { total / 20 } else { total / 20 - 5 * total / STEP_PART };
            assert!((least..total / 20 + CHUNK).contains(&free), "{free} of {least}");
        }
    }

    #[test]
    fn what_is_known_to_come_is_refused_before_the_first_byte() {
        let (mut room, ..) = disk(100 * MIB, 100 * MIB);
        room.expect(95 * MIB).unwrap();
        assert_eq!(room.expect(96 * MIB).unwrap_err().kind(), Kind::NoSpace);
    }

    #[test]
    fn files_without_bytes_take_room_too() {
        let files = Amounts { bytes: u64::MAX, files: 10_000 };
        let mut room = Room::new(Path::new("out"), Box::new(move || Some(Space { total: files, free: files })));
        let made = (0..20_000).take_while(|_| room.make().is_ok()).count();
        // The disk of this test never fills, so it is a matter of one look after another.
        assert_eq!(made, 20_000);
        let few = Space { total: files, free: Amounts { files: 500, ..files } };
        let mut room = Room::new(Path::new("out"), Box::new(move || Some(few)));
        room.kept = files.each(files, |total, _| total / 20);
        assert!(room.make().unwrap_err().to_string().contains("has 500 free inodes"));
    }

    #[test]
    fn a_file_system_that_does_not_say_how_large_it_is_is_no_obstacle() {
        let silent = Space { total: Amounts::default(), free: Amounts::default() };
        for answer in [Some(silent), None] {
            let mut room = Room::new(Path::new("out"), Box::new(move || answer));
            room.expect(u64::MAX).unwrap();
            room.write(1 << 30).unwrap();
            room.make().unwrap();
        }
    }
}
