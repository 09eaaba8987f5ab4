//! Charts made from numbers, and what Helm made of each: accepted or refused, and the config.
//!
//! The verdicts in `random.txt` are those of Helm 3.19 (`helm package` for a directory, and what `helm push` reads of an
//! archive). Where ours is to differ, the line says so. To make them anew, write the charts with
//! `CHARTS=DIRECTORY cargo test --test it -- --ignored write_the_charts`, and ask Helm.

use std::{fs, io::Write as _, path::Path};

use artifact::{
    oci::Digest,
    plan::{Content, Plan},
    types::{Catalog, Inputs},
};

/// The numbers that a chart is made from (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }

    /// One of them, more often one of the first.
    fn prefer<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let most = if self.in_ten(7) { from.len().div_ceil(3) } else { from.len() };
        from[self.roll(most)]
    }

    fn in_ten(&mut self, times: usize) -> bool {
        self.roll(10) < times
    }
}

/// Keys of Chart.yaml with values that Helm takes and values that it refuses.
const KEYS: &[(&str, &[&str])] = &[
    ("apiVersion", &["v1", "v2", "v2", "v3", "\"\"", "2", "~", "V2", "\"v2\\u200b\""]),
    (
        "description",
        &[
            "a & b <c>",
            "\"tab\\there\"",
            "\"line\\u2028end\"",
            "\"\\u00e9\\x41\\e\"",
            "|\n  one\n  two",
            ">-\n  one\n  two",
            "🎈",
            "12",
            "~",
            "\"\\U0001F388\"",
            "'it''s'",
            "!!str 5",
            "[a]",
            "a: b",
            "\"\\ud800\"",
            "one\n  two",
        ],
    ),
    ("type", &["application", "library", "\"\"", "Application", "~", "other", "\"library\\u200b\""]),
    ("keywords", &["[a, b]", "[1, ~]", "[1.0, yes, 0x10]", "a", "~", "[]", "[[a]]", "[\"a\\tb\"]", "{a: b}"]),
    ("home", &["https://example.org", "5", "~", "yes", "\"a b\""]),
    ("sources", &["[https://example.org/a, https://example.org/b]", "[~]", "[]", "https://example.org", "[1.10]"]),
    (
        "maintainers",
        &[
            "[{name: Ann, email: a@example.org}]",
            "[{Name: Ann, EMAIL: 1}]",
            "[~]",
            "[{}]",
            "[{name: 1.10, url: yes}]",
            "~",
            "{name: x}",
            "[ann]",
            "[{name: [a]}]",
            "[{name: a, nick: b}, {name: ~}]",
        ],
    ),
    ("icon", &["https://example.org/i.svg", "~", "[]"]),
    (
        "appVersion",
        &[
            "1.10",
            "\"1.10\"",
            "1e6",
            "010",
            "0o10",
            "0x1F",
            "yes",
            "on",
            "~",
            "12345678901234567890123",
            "1.0",
            ".5",
            "+1",
            "-0",
            ".inf",
            ".nan",
            "1_000.5",
            "1:30",
            "2001-01-01",
            "!!int \"3\"",
            "123456789",
            "1.23456789",
            "16777217.0",
            "1e-7",
            "0b11",
            "v1",
            "!x y",
            "-.5",
            "1e400",
            "",
            "true",
            "=",
            "0x",
            "1__0",
            "9223372036854775808",
            "1e+06",
        ],
    ),
    ("deprecated", &["true", "false", "yes", "\"true\"", "1", "~", "no", "on", "y", "[]"]),
    (
        "annotations",
        &[
            "{a: b}",
            "{a: 1.10}",
            "{a: ~}",
            "{a: [x]}",
            "{1: x, yes: no}",
            "{org.opencontainers.image.title: x}",
            "{A: 1, a: 2}",
            "[]",
            "~",
            "{b: 1, a: 2, \"a b\": \"x\\ty\"}",
            "{a: {b: c}}",
            "{~: x}",
            "{1.5: a, 0x1: b}",
        ],
    ),
    ("kubeVersion", &["\">=1.20\"", "1.20", "~"]),
    ("condition", &["a.enabled", "true", "[a]"]),
    ("tags", &["front", "[a]", "1"]),
    ("unknown", &["1", "{a: [b]}", "~", "&x [1, 2]"]),
];

const NAMES: &[&str] = &[
    "web",
    "web",
    "web",
    "web",
    "web",
    "web",
    "web",
    "\"web\"",
    "12",
    "1.10",
    "\"\"",
    "a b",
    "~",
    "yes",
    "[a]",
    "\"tab\\tx\"",
    "\"web\\u200b\"",
    "a.b",
    "-",
    "null",
    "0x10",
];

const VERSIONS: &[&str] = &[
    "1.2.3",
    "1.2.3",
    "1.2.3",
    "1.2.3",
    "1.2.3",
    "1.2",
    "1",
    "1.10",
    "v1",
    "1.2.3-01",
    "1.2.3-a..b",
    "18446744073709551616.0.0",
    "1.2.3+x",
    "0x10",
    "1e3",
    "1_000",
    "1.2.3.4",
    "latest",
    "2020-01-01",
    "\"1.2.3 \"",
    "010",
    "1.2.3-alpha.1+b-1",
    "1.2.3+",
    "~",
    "01.02.03",
    "1.2.3-0",
    "\"\"",
    "1.2.3-a_b",
    "+1",
    "18446744073709551615.0.0",
    "\"1.2.3\\u200b\"",
    "1.2.3--",
    "99999999",
];

const DEPENDENCIES: &[&str] = &[
    "[{name: db, version: 1, repository: \"\"}]",
    "[{Name: db, Repository: x}]",
    "[]",
    "[{name: cache}]",
    "[{name: db}, {name: cache}]",
    "[{name: db, import-values: [x, {child: a, parent: b}]}]",
    "[{name: db, tags: [1, a]}]",
    "[{name: db, alias: \"a b\"}]",
    "[{name: db}, {name: db}]",
    "[{name: db}, {name: cache, alias: db}]",
    "[{name: db, alias: a}, {name: db, alias: b}]",
    "[~]",
    "[{name: db, enabled: yes}]",
    "[{name: db, condition: db.enabled, version: 1.10}]",
    "~",
    "{name: db}",
    "[{name: \"db\\u200b\", alias: a}]",
    "[{name: db, alias: \"a\\u200b\"}]",
    "[{name: db, alias: \"\"}]",
    "[{name: DB}]",
];

/// A key as somebody writes it.
fn spelled(key: &str, dice: &mut Dice) -> String {
    match dice.roll(30) {
        0 => key.to_uppercase(),
        1 => key.to_lowercase(),
        2 => format!("{}{}", key[..1].to_uppercase(), &key[1..]),
        3 => format!("\"{key}\""),
        _ => key.to_owned(),
    }
}

fn chart_yaml(dice: &mut Dice) -> String {
    let mut lines = Vec::new();
    for (key, values, times) in [("name", NAMES, 10), ("version", VERSIONS, 10)] {
        if dice.roll(40) < times * 4 - 1 {
            lines.push(format!("{}: {}", spelled(key, dice), dice.prefer(values)));
        }
    }
    for (key, values) in KEYS {
        if dice.in_ten(2) || (*key == "apiVersion" && dice.in_ten(8)) {
            lines.push(format!("{}: {}", spelled(key, dice), dice.prefer(values)));
        }
    }
    if dice.in_ten(1) {
        let again = dice.roll(lines.len().max(1));
        let line = lines.get(again).cloned().unwrap_or_default();
        lines.push(if dice.in_ten(5) { line } else { line.to_uppercase() });
    }
    let text = lines.join("\n") + "\n";
    match dice.roll(40) {
        0 => format!("---\n{text}"),
        1 => format!("{text}---\n"),
        2 => format!("# a chart\n---\n{text}..."),
        3 => format!("{text}---\nname: second\n"),
        4 => format!("---\n---\n{text}"),
        5 => format!("\u{feff}{text}"),
        6 => text.replace('\n', "\r\n"),
        7 => format!("%YAML 1.1\n---\n{text}"),
        8 => format!("%YAML 1.2\n---\n{text}"),
        9 => text.replacen('\n', "\t# tab\n", 1),
        10 => format!("{text}\t\n"),
        _ => text,
    }
}

/// Files of a chart: their paths and contents.
type Files = Vec<(String, String)>;

fn file(path: impl Into<String>, text: impl Into<String>) -> (String, String) {
    (path.into(), text.into())
}

/// What lies beside Chart.yaml.
fn beside(dice: &mut Dice) -> Files {
    let mut files = vec![file("templates/a.yaml", "a: 1\n")];
    if dice.in_ten(4) {
        let text = dice.prefer(&[
            "a: 1\n",
            "",
            "~\n",
            "[a]\n",
            "text\n",
            "a:\n\t- b\n",
            "a: 1\na: 2\n",
            "a: [\n",
            "a: 1\n---\nb: 2\n",
            "a: {b: {c: ~}}\n",
            "a: &x {b: 1}\nc: *x\n<<: *x\n",
            "a: 010\nb: 1e400\nc: 12345678901234567890123\n",
            "1: x\nyes: no\n",
            "# nothing\n",
            "a: *x\n",
            "a: \"\\ud800\"\n",
        ]);
        files.push(file("values.yaml", text));
    }
    if dice.in_ten(2) {
        let text =
            dice.prefer(&["{}", "true", "{\"a\": {}}", "", "{\"a\": 1, \"a\": 2}", "{a: 1}", "{} {}", "[1e999]"]);
        files.push(file("values.schema.json", text));
    }
    if dice.in_ten(2) {
        let text = dice.prefer(&[
            "dependencies: []\ndigest: sha256:x\ngenerated: \"2020-01-02T03:04:05.678Z\"\n",
            "",
            "digest: 1\n",
            "generated: yesterday\n",
            "dependencies: [{name: db, tags: a}]\n",
            "[]\n",
            "generated: 2020-01-02T03:04:05Z\n",
        ]);
        files.push(file(dice.pick(&["Chart.lock", "requirements.lock"]), text));
    }
    files
}

/// A chart with charts that it depends on.
fn family(dice: &mut Dice) -> Files {
    let mut text = "name: web\nversion: 1.0.0\n".to_owned();
    let api = dice.pick(&["v1", "v2", "v2"]);
    let apart = api == "v1" || dice.in_ten(1);
    let mut files = beside(dice);
    let dependencies = format!("dependencies: {}\n", dice.prefer(DEPENDENCIES));
    if apart && dice.in_ten(8) {
        files.push(file("requirements.yaml", dependencies));
    } else {
        text += &dependencies;
    }
    files.push(file("Chart.yaml", format!("apiVersion: {api}\n{text}")));
    for name in ["db", "cache"] {
        if dice.in_ten(7) {
            let own = dice.pick(&["1.0.0", "1.0.0", "1.0.0", "1.0.0", "none"]);
            let key = dice.pick(&["name", "name", "name", "Name"]);
            let below = dice.pick(&["charts/db", "charts/cache", "charts/other"]);
            let path = if dice.in_ten(8) { format!("charts/{name}") } else { below.to_owned() };
            if files.iter().all(|(other, _)| !other.starts_with(&path)) {
                files.push(file(format!("{path}/Chart.yaml"), format!("{key}: {name}\nversion: {own}\n")));
            }
            if dice.in_ten(2) {
                files.push(file(format!("{path}/values.yaml"), dice.pick(&["a: 1\n", "[a]\n", "a: 1\na: 2\n"])));
            }
            if dice.in_ten(1) {
                files.push(file(
                    format!("{path}/charts/deep/Chart.yaml"),
                    dice.pick(&["name: deep\nversion: 1\n", "x: y\n"]),
                ));
            }
        }
    }
    if dice.in_ten(2) {
        let path = dice.pick(&[
            "charts/README.md",
            "charts/.gitkeep",
            "charts/_x/a",
            "charts/x.prov",
            "charts/x/a.prov",
            "charts/x/notes.txt",
        ]);
        files.push(file(path, "x\n"));
    }
    files
}

/// A chart with a `.helmignore`.
fn ignoring(dice: &mut Dice) -> Files {
    let mut files: Files =
        ["README.md", "a.txt", "b.bak", "docs/a.md", "docs/b.txt", "templates/a.yaml", "templates/.x", "é.md"]
            .into_iter()
            .map(|path| file(path, path))
            .collect();
    files.push(file("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n"));
    let parts = [
        "*",
        "?",
        "a",
        "*.md",
        "*.txt",
        "docs",
        "docs/",
        "/",
        "!",
        "[a-c]",
        "[^a]",
        "\\",
        ".",
        "é",
        "b.bak",
        "templates",
        "**",
        "#",
        " ",
        "[",
        "{a,b}",
    ];
    let lines: Vec<String> =
        (0..=dice.roll(3)).map(|_| (0..=dice.roll(3)).map(|_| dice.pick(&parts)).collect()).collect();
    files.push(file(".helmignore", lines.join("\n")));
    files
}

/// Names of the files of a chart in an archive, as programs and people make them.
fn archived(files: &Files, dice: &mut Dice) -> Vec<(String, String)> {
    let top = dice.pick(&[
        "web/",
        "web/",
        "web/",
        "web/",
        "other/",
        "./",
        "./web/",
        "/",
        "",
        "web//",
        "web/./",
        "web/../web/",
    ]);
    let mut members: Vec<(String, String)> =
        files.iter().map(|(path, text)| file(format!("{top}{path}"), text)).collect();
    if dice.in_ten(2) {
        members.push(file(dice.pick(&["web/Chart.yaml", "other/Chart.yaml"]), "name: late\nversion: 2.0.0\n"));
    }
    if dice.in_ten(1) {
        members.push(file(dice.pick(&["web", "Chart.yaml", "web/a/../../x", "x/y"]), "x\n"));
    }
    members
}

fn tgz(path: &Path, members: &[(String, String)]) {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, text) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, text.as_bytes()).unwrap();
    }
    fs::File::create(path).unwrap().write_all(&tar.into_inner().unwrap().finish().unwrap()).unwrap();
}

/// Writes the chart of this number, and returns what it is: a directory, or an archive.
fn write(number: u64, dir: &Path) -> std::path::PathBuf {
    let mut dice = Dice(number);
    let kind = dice.roll(12);
    let files = match kind {
        0..=5 => [beside(&mut dice), vec![file("Chart.yaml", chart_yaml(&mut dice))]].concat(),
        6..=8 => family(&mut dice),
        _ => ignoring(&mut dice),
    };
    if kind < 9 && dice.in_ten(5) {
        let path = dir.join("web.tgz");
        tgz(&path, &archived(&files, &mut dice));
        return path;
    }
    let chart = dir.join("web");
    for (path, text) in files {
        let path = chart.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    chart
}

/// The digest of the config, and of the names of the files if it is about them.
fn told(plan: &Plan, names: bool) -> String {
    let manifest = plan.manifest().unwrap();
    let Content::Json { value, encoding } = &manifest.config.content else { panic!("{:?}", manifest.config) };
    let mut bytes = encoding.encode(value).unwrap();
    if let (true, Content::Tar { entries, .. }) = (names, &manifest.layers[0].content) {
        let mut names: Vec<&str> = entries.iter().filter_map(|entry| Some(entry.path.split_once('/')?.1)).collect();
        names.sort_unstable();
        bytes.extend(names.join("\n").bytes());
    }
    Digest::of(&bytes).hex()[..12].to_owned()
}

/// Our verdict: what was made, or `no`.
fn verdict(catalog: &Catalog, path: &Path) -> (String, String) {
    let source = artifact::source::Source::open(path).unwrap();
    match catalog.get("helm-chart").unwrap().plan(&source, &Inputs::default()) {
        Ok(plan) => (told(&plan, path.join(".helmignore").exists()), plan.warnings.join("; ")),
        Err(error) => ("no".to_owned(), error.to_string()),
    }
}

/// What differs from one line of the table: the number, Helm's verdict, and, if ours is another, a part of why.
fn difference(line: &str, catalog: &Catalog) -> Option<String> {
    let mut parts = line.splitn(3, ' ');
    let (number, helms) = (parts.next().unwrap(), parts.next().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (ours, why) = verdict(catalog, &write(number.parse().unwrap(), dir.path()));
    let right = match parts.next() {
        None => ours == helms,
        Some(reason) => ours != helms && helms != "no" && why.contains(reason),
    };
    (!right).then(|| format!("{number}: {ours} and not {helms}: {why}"))
}

#[test]
fn random_charts_have_the_verdicts_and_configs_of_helm() {
    let catalog = Catalog::builtin().unwrap();
    let lines: Vec<&str> = include_str!("random.txt").lines().collect();
    assert!(lines.len() > 1000, "{}", lines.len());
    let some = |lines: &[&str]| lines.iter().filter_map(|line| difference(line, &catalog)).collect::<Vec<_>>();
    let found: Vec<String> = std::thread::scope(|scope| {
        let chunks = lines.chunks(lines.len().div_ceil(4));
        let threads: Vec<_> = chunks.map(|lines| scope.spawn(|| some(lines))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(found.is_empty(), "{}\n{}", found.len(), found.join("\n"));
}

#[test]
#[ignore = "writes files for Helm to look at"]
fn write_the_charts() {
    let to = std::env::var_os("CHARTS").expect("a directory");
    let count = std::env::var("CHARTS_COUNT").map_or(1200, |count| count.parse().unwrap());
    for number in 0..count {
        let dir = Path::new(&to).join(number.to_string());
        fs::create_dir_all(&dir).unwrap();
        println!("{}", write(number, &dir).display());
    }
}
