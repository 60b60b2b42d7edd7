//! Reads a page of Markdown. Depends on nothing else in this crate.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The start of a comment that says why no test runs a code block.
const NOT_RUN: &str = "<!-- not run: ";

/// A page of the documentation.
pub struct Page {
    /// The path from the root of the repository, such as `docs/health.md`.
    pub path: PathBuf,
    text: String,
}

/// A code block of a page.
pub struct CodeBlock {
    /// The first word after the opening fence. Empty if there is none.
    pub language: String,
    /// The text between the fences.
    pub text: String,
    /// The number of the line of the opening fence.
    pub line: usize,
    /// The reason in the comment `<!-- not run: REASON -->`, if it is directly before the block.
    pub not_run: Option<String>,
}

/// Returns the root directory of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Returns all pages: every Markdown file of the root directory and below `docs/`, sorted by path.
pub fn pages() -> Vec<Page> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(root()).unwrap() {
        paths.push(PathBuf::from(entry.unwrap().file_name()));
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut directories = vec![PathBuf::from("docs")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(root().join(&directory)).unwrap() {
            let path = directory.join(entry.unwrap().file_name());
            if root().join(&path).is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths.into_iter().map(Page::read).collect()
}

impl Page {
    /// Reads the page with this path from the root of the repository.
    pub fn read(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let text = fs::read_to_string(root().join(&path)).unwrap();
        Self { path, text }
    }

    /// Returns whether a command of this repository generates the page.
    pub fn is_generated(&self) -> bool {
        self.text.starts_with("<!-- Generated")
    }

    /// Returns the code blocks, in their order.
    pub fn code_blocks(&self) -> Vec<CodeBlock> {
        let mut blocks = Vec::new();
        let mut current: Option<CodeBlock> = None;
        let mut not_run = None;
        for (event, range) in self.parser().into_offset_iter() {
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    let language = match &kind {
                        CodeBlockKind::Fenced(info) => info.split([' ', ',']).next().unwrap_or_default(),
                        CodeBlockKind::Indented => "",
                    };
                    let line = self.text[..range.start].lines().count() + 1;
                    let (language, text) = (language.to_owned(), String::new());
                    current = Some(CodeBlock { language, text, line, not_run: not_run.take() });
                }
                Event::Text(text) => {
                    if let Some(block) = &mut current {
                        block.text.push_str(&text);
                    }
                }
                Event::End(TagEnd::CodeBlock) => blocks.extend(current.take()),
                Event::Html(html) => {
                    let reason = html.trim().strip_prefix(NOT_RUN).and_then(|rest| rest.strip_suffix("-->"));
                    not_run = reason.map(|reason| reason.trim().to_owned());
                }
                // The comment and the block are next to each other, or in the same item of a list.
                Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => (),
                _ => not_run = None,
            }
        }
        blocks
    }

    /// Returns the targets of all links and pictures.
    pub fn links(&self) -> Vec<String> {
        let targets = self.parser().filter_map(|event| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(dest_url),
            _ => None,
        });
        targets.map(|target| target.to_string()).collect()
    }

    /// Returns the texts in backticks outside of code blocks.
    pub fn inline_code(&self) -> Vec<String> {
        let code = self.parser().filter_map(|event| match event {
            Event::Code(code) => Some(code.to_string()),
            _ => None,
        });
        code.collect()
    }

    /// Returns the anchors of the headings, as code hosts and mdBook generate them.
    pub fn anchors(&self) -> Vec<String> {
        let mut anchors = Vec::new();
        let mut used: HashMap<String, usize> = HashMap::new();
        let mut heading: Option<String> = None;
        for event in self.parser() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    let slug = slug(&heading.take().unwrap_or_default());
                    let count = used.entry(slug.clone()).or_default();
                    anchors.push(if *count == 0 { slug } else { format!("{slug}-{count}") });
                    *count += 1;
                }
                _ => (),
            }
        }
        anchors
    }

    fn parser(&self) -> Parser<'_> {
        Parser::new_ext(&self.text, Options::ENABLE_TABLES)
    }
}

fn slug(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page { path: PathBuf::from("docs/page.md"), text: text.to_owned() }
    }

    #[test]
    fn only_a_comment_directly_before_a_block_is_its_reason() {
        let page = page(
            "<!-- not run: needs root -->\n\n```sh\na\n```\n\n```sh\nb\n```\n\n<!-- not run: far away -->\n\ntext\n\n```console\n$ c\n```\n",
        );
        let blocks = page.code_blocks();
        let reasons: Vec<Option<&str>> = blocks.iter().map(|block| block.not_run.as_deref()).collect();
        assert_eq!(reasons, [Some("needs root"), None, None]);
        let lines: Vec<(&str, &str, usize)> =
            blocks.iter().map(|block| (block.language.as_str(), block.text.as_str(), block.line)).collect();
        assert_eq!(lines, [("sh", "a\n", 3), ("sh", "b\n", 7), ("console", "$ c\n", 15)]);
    }

    #[test]
    fn headings_have_the_anchors_that_code_hosts_give_them() {
        let page = page("# If `x: y` is set\n\n## A_b-c, d!\n\n## A_b-c, d!\n\n```sh\n# no heading\n```\n");
        assert_eq!(page.anchors(), ["if-x-y-is-set", "a_b-c-d", "a_b-c-d-1"]);
    }

    #[test]
    fn links_and_code_in_tables_are_found_but_not_those_in_code_blocks() {
        let page =
            page("| a |\n| --- |\n| [b](c.md#d) and ![e](f.png) with `g` |\n\n```\n[h](i.md) `j`\n```\n");
        assert_eq!(page.links(), ["c.md#d", "f.png"]);
        assert_eq!(page.inline_code(), ["g"]);
    }
}
