//! Reads the modules of one crate: what each defines, what it imports, in which file it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree, Visibility};

/// An import as it is written: its segments, and the name that it is known by (`None` for a glob).
#[derive(Clone, Debug)]
pub(crate) struct Import {
    pub(crate) segments: Vec<String>,
    pub(crate) name: Option<String>,
    pub(crate) is_public: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(crate) file: PathBuf,
    pub(crate) items: BTreeSet<String>,
    /// The types that other modules can see.
    pub(crate) visible_types: Vec<String>,
    pub(crate) imports: Vec<Import>,
}

/// Every module by its path from the crate's root, which is `""`.
pub(crate) fn modules(base: &Path, root: &Path) -> BTreeMap<String, Module> {
    let mut modules = BTreeMap::new();
    let directory = root.parent().unwrap_or(Path::new("")).to_owned();
    read_file(base, root, &directory, "", &mut modules);
    modules
}

fn read_file(base: &Path, file: &Path, children: &Path, path: &str, modules: &mut BTreeMap<String, Module>) {
    let text =
        fs::read_to_string(base.join(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    read_items(base, file, children, path, &parsed.items, modules);
}

fn read_items(
    base: &Path,
    file: &Path,
    children: &Path,
    path: &str,
    items: &[Item],
    modules: &mut BTreeMap<String, Module>,
) {
    let mut module = Module { file: file.to_owned(), ..Module::default() };
    for item in items.iter().filter(|item| !is_test(attributes(item)) && !is_elsewhere(attributes(item))) {
        match item {
            Item::Mod(child) => {
                let name = child.ident.to_string();
                let child_path = join(path, &name);
                let below = children.join(&name);
                if let Some((_, items)) = &child.content {
                    read_items(base, file, &below, &child_path, items, modules);
                } else {
                    let flat = children.join(format!("{name}.rs"));
                    let is_flat = base.join(&flat).exists();
                    let file = if is_flat { flat } else { below.join("mod.rs") };
                    read_file(base, &file, &below, &child_path, modules);
                }
                module.items.insert(name);
            }
            Item::Use(import) => {
                let is_public = !matches!(import.vis, Visibility::Inherited);
                flatten(&import.tree, &mut Vec::new(), is_public, &mut module.imports);
            }
            other => {
                module.items.extend(name(other));
                module.visible_types.extend(visible_type(other));
                Paths(&mut module.imports).visit_item(other);
            }
        }
    }
    modules.insert(path.to_owned(), module);
}

pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}::{name}") }
}

fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

/// The name of a type that other modules can see.
fn visible_type(item: &Item) -> Option<String> {
    let visibility = match item {
        Item::Enum(item) => &item.vis,
        Item::Struct(item) => &item.vis,
        Item::Trait(item) => &item.vis,
        Item::Type(item) => &item.vis,
        Item::Union(item) => &item.vis,
        _ => return None,
    };
    if matches!(visibility, Visibility::Inherited) { None } else { name(item) }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else { return false };
        list.path.is_ident("cfg") && list.tokens.to_string() == "test"
    })
}

/// Whether this is a module in a file of another crate, which is read with that crate.
fn is_elsewhere(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("path"))
}

fn flatten(tree: &UseTree, prefix: &mut Vec<String>, is_public: bool, imports: &mut Vec<Import>) {
    let with = |name: &syn::Ident, prefix: &[String]| {
        let mut segments = prefix.to_vec();
        // `a::{self}` names `a`.
        if name != "self" || segments.is_empty() {
            segments.push(name.to_string());
        }
        segments
    };
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, is_public, imports);
            prefix.pop();
        }
        UseTree::Name(name) => {
            let segments = with(&name.ident, prefix);
            imports.push(Import { name: segments.last().cloned(), segments, is_public });
        }
        UseTree::Rename(rename) => {
            let segments = with(&rename.ident, prefix);
            imports.push(Import { segments, name: Some(rename.rename.to_string()), is_public });
        }
        UseTree::Glob(_) => imports.push(Import { segments: prefix.clone(), name: None, is_public }),
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, prefix, is_public, imports);
            }
        }
    }
}

/// Collects paths in code that start at the crate or a parent, and skips test code.
struct Paths<'a>(&'a mut Vec<Import>);

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if matches!(segments.first().map(String::as_str), Some("crate" | "super")) {
            self.0.push(Import { name: segments.last().cloned(), segments, is_public: false });
        }
        visit::visit_path(self, path);
    }

    /// A `use` in a block. Those at the top of a module are read by [`read_items`].
    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        if !is_test(&import.attrs) {
            flatten(&import.tree, &mut Vec::new(), false, self.0);
        }
    }

    /// The tokens of a macro are not a syntax tree; the paths among them that start at the crate or a parent are found by their
    /// spelling.
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let text = call.tokens.to_string().replace(['(', ')', '[', ']', '{', '}', '<', '>', ','], " ");
        let mut tokens = text.split_whitespace().peekable();
        while let Some(token) = tokens.next() {
            // `pub(super)` imports nothing.
            if !matches!(token, "crate" | "super") || tokens.peek() != Some(&"::") {
                continue;
            }
            let mut segments = vec![token.to_owned()];
            while tokens.next_if_eq(&"::").is_some()
                && let Some(segment) = tokens.next_if(|token| syn::parse_str::<syn::Ident>(token).is_ok())
            {
                segments.push(segment.to_owned());
            }
            self.0.push(Import { name: segments.last().cloned(), segments, is_public: false });
        }
    }

    /// `pub(super)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_item_mod(&mut self, _: &'ast syn::ItemMod) {}

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }
}
