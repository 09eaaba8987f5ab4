//! `artifact cat`: the bytes of a manifest, a config or a layer on stdout.

use std::process::ExitCode;

use artifact::{
    Code, Error, Kind, Result,
    location::{Pin, ReadLocation},
    oci::{Digest, Parsed},
    store::{self, Item},
};

use super::{data::DataArgs, report::Report, session::RegistryArgs, text::count};

/// Limit of the parts named in a message.
const SHOWN: usize = 10;

/// Print the manifest, the config or one layer, byte for byte.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The artifact; `repository:^1.2` is the newest tag in the range
    location: ReadLocation,
    /// `config`, or a layer's title, position (from 0) or digest, of which eight digits are enough [default: the manifest]
    part: Option<String>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    report.no_template("`cat`")?;
    let opened = args.registry.open(&args.location, report).await?;
    let (root, store) = (opened.resolve().await?, opened.store);
    let manifest = store::read_manifest(store.as_ref(), &root).await?;
    let Some(part) = &args.part else {
        args.data.write(artifact::blob::once(manifest), report).await?;
        return Ok(ExitCode::SUCCESS);
    };
    let parsed = Parsed::read(&root.media_type, &manifest)?;
    let item = find_part(&parsed, part)?;
    args.data.write(store::open(store.as_ref(), &item).await.map_err(Error::of_content)?, report).await?;
    Ok(ExitCode::SUCCESS)
}

fn find_part(parsed: &Parsed, part: &str) -> Result<Item> {
    let children: Vec<Item> =
        parsed.children().into_iter().map(|(role, desc)| Item { desc: desc.clone(), role }).collect();
    let layers = match parsed {
        Parsed::Manifest(m) if part == "config" => return Ok(Item::blob(m.config.clone())),
        Parsed::Manifest(_) => children.get(1..).unwrap_or_default(),
        Parsed::Index(_) | Parsed::Other(_) => &children,
    };
    let by_title = layers.iter().find(|item| item.desc.title() == Some(part));
    let by_position = || part.parse::<usize>().ok().and_then(|n| layers.get(n));
    if let Some(item) = by_title.or_else(by_position) {
        return Ok(item.clone());
    }
    by_digest(&children, part)?.cloned().ok_or_else(|| {
        let config = matches!(parsed, Parsed::Manifest(_)).then_some("config");
        let parts: Vec<&str> = config.into_iter().chain(layers.iter().filter_map(|item| item.desc.title())).collect();
        let there = match parts.as_slice() {
            [] => format!("{} without a title: give a position from 0, or a digest", count(layers.len(), "part")),
            all if all.len() > SHOWN => {
                format!("the parts are: {} and {} more", all[..SHOWN].join(", "), all.len() - SHOWN)
            }
            all => format!("the parts are: {}", all.join(", ")),
        };
        Error::not_found(format!("no part `{part}`; {there}")).with_code(Code::NoSuchPart).with_name(part)
    })
}

/// The part with this digest, whole or in its first digits. Errors: several digests start so.
fn by_digest<'a>(parts: &'a [Item], text: &str) -> Result<Option<&'a Item>> {
    // `inspect` shows the first digits alone.
    let pin = text.parse::<Pin>().or_else(|_| format!("sha256:{text}").parse());
    let fits = |digest: &Digest| match &pin {
        Ok(Pin::Digest(whole)) => digest == whole,
        Ok(Pin::Prefix(prefix)) => prefix.fits(digest),
        Err(_) => false,
    };
    let mut found: Vec<&Item> = parts.iter().filter(|item| fits(&item.desc.digest)).collect();
    found.dedup_by_key(|item| &item.desc.digest);
    match found.as_slice() {
        [] => Ok(None),
        [first, rest @ ..] if rest.iter().all(|item| item.desc.digest == first.desc.digest) => Ok(Some(first)),
        many => {
            let all: Vec<String> = many.iter().take(SHOWN).map(|item| item.desc.digest.to_string()).collect();
            Err(Error::new(Kind::Ambiguous, format!("several parts start with {text}: {}", all.join(", "))))
        }
    }
}
