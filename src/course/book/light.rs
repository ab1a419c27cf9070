//! Makes rendered pages quick to draw: one style sheet where mdBook has several, scripts after what is drawn first,
//! names that tell the contents, so that a browser asks for each file once, and no styles inside of elements.
//!
//! In: mdBook's pages, and our modules. Out: the same pages. What is drawn stays as it was: the order of the rules
//! does not change, and a sheet that a script of mdBook's turns on and off stays one of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// A link to a sheet that is always on.
const SHEET: &str = "<link rel=\"stylesheet\" href=\"";
/// Styles that mdBook writes into its elements, and a class for each: a page's policy lets no element bring its own.
const STYLES: [(&str, &str); 5] = [
    ("style=\"text-align: left\"", "class=\"tutor-left\""),
    ("style=\"text-align: center\"", "class=\"tutor-center\""),
    ("style=\"text-align: right\"", "class=\"tutor-right\""),
    ("style=\"clear: both\"", "class=\"tutor-clear\""),
    ("style=\"break-before: page; page-break-before: always;\"", "class=\"tutor-break\""),
];
/// Where a page's own scripts are, as its head names them.
const MODULES: &str = "theme/";

/// A name for these bytes, as mdBook makes them.
fn tag(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a path names its contents: its file, or its folder, ends with their hash.
pub fn names_its_contents(path: &str) -> bool {
    let hashed = |part: &str| {
        let stem = part.split('.').next().unwrap_or_default();
        stem.rsplit_once('-')
            .is_some_and(|(_, hash)| hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    !path.ends_with(".html") && path.split('/').any(hashed)
}

/// Files to write, by their path.
pub type Written = BTreeMap<PathBuf, Vec<u8>>;

/// Makes pages light.
pub struct Light<'a> {
    /// Reads a file of the rendered book.
    pub read: &'a dyn Fn(&Path) -> Result<String>,
    /// The folder that the modules are in.
    folder: String,
    /// The joined sheets: the paths of the parts, and the path and text of the whole.
    joined: BTreeMap<Vec<String>, (String, String)>,
}

impl<'a> Light<'a> {
    /// For a book with these modules, by their file names.
    pub fn of(modules: &[(String, &[u8])], read: &'a dyn Fn(&Path) -> Result<String>) -> Light<'a> {
        let all: Vec<u8> = modules.iter().flat_map(|(name, text)| [name.as_bytes(), text].concat()).collect();
        Light { read, folder: format!("theme-{}/", tag(&all)), joined: BTreeMap::new() }
    }

    /// Where a module is.
    pub fn module(&self, name: &str) -> PathBuf {
        Path::new(&self.folder).join(name)
    }

    /// A page, made light.
    ///
    /// # Errors
    /// When a sheet cannot be read.
    pub fn page(&mut self, html: &str) -> Result<String> {
        let Some((head, body)) = html.split_once("</head>") else { return Ok(html.to_owned()) };
        let mut lines: Vec<String> = Vec::new();
        let mut modules = Vec::new();
        let mut run: Option<(usize, Vec<String>)> = None;
        for line in head.lines() {
            let text = line.trim();
            if text.contains("rel=\"modulepreload\"") || text.starts_with("<script type=\"module\"") {
                modules.push(self.moved(text));
                continue;
            }
            let sheet = text.strip_prefix(SHEET).and_then(|rest| rest.strip_suffix("\">"));
            if let Some(path) = sheet.filter(|path| !path.contains('"')) {
                let (_, paths) = run.get_or_insert_with(|| (lines.len(), Vec::new()));
                paths.push(path.to_owned());
                continue;
            }
            if text.starts_with("<link rel=\"stylesheet\" id=") {
                self.close(&mut run, &mut lines)?;
            }
            lines.push(line.to_owned());
        }
        self.close(&mut run, &mut lines)?;
        lines.extend(modules);
        let body = STYLES.iter().fold(body.to_owned(), |body, (style, class)| body.replace(style, class));
        Ok(format!("{}\n</head>{body}", lines.join("\n")))
    }

    /// A line that names a module, with the module's new place.
    fn moved(&self, line: &str) -> String {
        line.replacen(MODULES, &self.folder, 1)
    }

    /// Puts one sheet where a run of sheets began.
    fn close(&mut self, run: &mut Option<(usize, Vec<String>)>, lines: &mut Vec<String>) -> Result<()> {
        let Some((at, paths)) = run.take() else { return Ok(()) };
        let up = "../".repeat(paths[0].matches("../").count());
        let parts: Vec<String> = paths.iter().map(|path| path.trim_start_matches("../").to_owned()).collect();
        if !self.joined.contains_key(&parts) {
            let texts = parts.iter().map(|path| (self.read)(Path::new(path))).collect::<Result<Vec<_>>>()?;
            let text = texts.join("\n");
            if text.replace("url('data:", "").contains("url(") {
                return Err(Error::new("the book cannot be rendered", "a style sheet names a file by its place"));
            }
            let path = format!("css/page-{}.css", tag(text.as_bytes()));
            self.joined.insert(parts.clone(), (path, text));
        }
        let (path, _) = &self.joined[&parts];
        lines.insert(at, format!("        {SHEET}{up}{path}\">"));
        Ok(())
    }

    /// The sheets that the pages name now.
    pub fn sheets(self) -> Written {
        self.joined.into_values().map(|(path, text)| (PathBuf::from(path), text.into_bytes())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<html><head>
<link rel="modulepreload" href="../theme/call.js">
<script type="module" src="../theme/tutor.js"></script>
<link rel="stylesheet" href="../css/variables-8adf115d.css">
<link rel="stylesheet" href="../css/chrome-d279d366.css">
<link rel="stylesheet" href="../css/print-9e4910d8.css" media="print">
<link rel="stylesheet" id="mdbook-highlight-css" href="../highlight-493f70e1.css">
<link rel="stylesheet" href="../theme/tutor-b0aebd75.css">
<script src="../toc-b7a44701.js"></script>
</head><body>&lt;/head><td style="text-align: right">1</td></body></html>"#;

    #[test]
    fn sheets_are_joined_in_their_order_and_modules_come_last() {
        let read = |path: &Path| Ok(format!("/* {} */", path.display()));
        let mut light = Light::of(&[("call.js".into(), b"x")], &read);
        let page = light.page(PAGE).unwrap();
        let at = |words: &str| page.find(words).unwrap_or_else(|| panic!("{words} is not in {page}"));
        let folder = light.folder.clone();
        assert!(folder.starts_with("theme-") && light.module("call.js").starts_with(folder.trim_end_matches('/')));
        assert!(
            at("css/page-") < at("media=\"print\"") && at("mdbook-highlight-css") < page.rfind("css/page-").unwrap()
        );
        assert!(at("toc-b7a44701.js") < at("modulepreload") && at("modulepreload") < at("</head>"));
        assert!(page.contains(&format!("src=\"../{folder}tutor.js\"")) && page.contains("href=\"../css/page-"));
        assert!(
            !page.contains("chrome-")
                && page.ends_with("</head><body>&lt;/head><td class=\"tutor-right\">1</td></body></html>")
        );
        let sheets = light.sheets();
        assert_eq!(sheets.len(), 2);
        let both = b"/* css/variables-8adf115d.css */\n/* css/chrome-d279d366.css */".to_vec();
        assert!(sheets.values().any(|text| *text == both), "{sheets:?}");
    }

    #[test]
    fn a_name_with_a_hash_names_its_contents() {
        for path in ["/css/page-8adf115d.css", "theme-01234567/call.js", "/clipboard-1626706a.min.js"] {
            assert!(names_its_contents(path), "{path}");
        }
        for path in ["/", "/control-plane/etcd.html", "/theme/tutor.css", "/x-8adf115d.html", "/favicon.png"] {
            assert!(!names_its_contents(path), "{path}");
        }
    }
}
