//! Checks Go templates: whether Go would parse and execute them.

use std::collections::HashSet;

use crate::config::go_template::{Piece, Token, split};

/// The functions that every template may call. `and`, `or` and the others are functions, too.
const FUNCTIONS: [&str; 19] = [
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print",
    "printf", "println", "slice", "urlquery",
];

/// The words that are constants.
const CONSTANTS: [&str; 3] = ["true", "false", "nil"];

/// A value that a template may use.
#[derive(Clone, Copy)]
pub(super) struct Variable {
    pub(super) name: &'static str,
    pub(super) is_map: bool,
}

/// Describes what is wrong with a Go template. Returns `None` if it is valid.
pub(super) fn template_problem(template: &str, variables: &[Variable]) -> Option<String> {
    let pieces = match split(template) {
        Ok(pieces) => pieces,
        Err(problem) => return Some(problem.to_owned()),
    };
    let mut checker = Checker { variables, blocks: Vec::new(), declared: HashSet::new() };
    let actions = pieces.iter().filter_map(|piece| match piece {
        Piece::Text(_) => None,
        Piece::Action(tokens) => Some(tokens.as_slice()),
    });
    for action in actions {
        if let Err(problem) = checker.action(action) {
            return Some(problem);
        }
    }
    let open = checker.blocks.last();
    open.map(|block| format!("`{{{{{}}}}}` is not closed by `{{{{end}}}}`", block.keyword))
}

/// A part of a template that ends with `{{end}}`.
struct Block {
    keyword: &'static str,
    has_else: bool,
}

/// The keywords of blocks.
const BLOCKS: [&str; 5] = ["if", "range", "with", "define", "block"];

struct Checker<'v, 'a> {
    variables: &'v [Variable],
    /// The blocks around the action, from the outside in.
    blocks: Vec<Block>,
    /// The variables that the template itself declares, in any block.
    declared: HashSet<&'a str>,
}

impl<'a> Checker<'_, 'a> {
    fn action(&mut self, tokens: &[Token<'a>]) -> Result<(), String> {
        let (first, rest) = match tokens {
            [Token::Word(first), rest @ ..] => (*first, rest),
            [] => return Err("`{{ }}` is empty".to_owned()),
            _ => return self.assignment(tokens),
        };
        match (first, rest) {
            ("end", []) => match self.blocks.pop() {
                Some(_) => Ok(()),
                None => Err("`{{end}}` without `{{if}}`, `{{range}}` or `{{with}}`".to_owned()),
            },
            ("else", _) => {
                let block = self.blocks.last_mut().filter(|block| !block.has_else);
                let block = block.ok_or("`{{else}}` without `{{if}}`, `{{range}}` or `{{with}}`")?;
                match rest {
                    [] => block.has_else = true,
                    [Token::Word("if" | "with"), condition @ ..] => return self.assignment(condition),
                    _ => return Err("only `if` and `with` can follow `else`".to_owned()),
                }
                Ok(())
            }
            ("break" | "continue", []) if self.blocks.iter().any(|block| block.keyword == "range") => Ok(()),
            ("define" | "block" | "template", [Token::Constant, argument @ ..]) => {
                if !argument.is_empty() {
                    self.pipeline(argument)?;
                }
                self.open(first);
                Ok(())
            }
            ("if" | "with" | "range", _) => {
                self.assignment(rest)?;
                self.open(first);
                Ok(())
            }
            _ => self.pipeline(tokens),
        }
    }

    fn open(&mut self, keyword: &str) {
        if let Some(keyword) = BLOCKS.into_iter().find(|known| *known == keyword) {
            self.blocks.push(Block { keyword, has_else: false });
        }
    }

    /// Checks a pipeline whose result may be assigned to variables.
    fn assignment(&mut self, tokens: &[Token<'a>]) -> Result<(), String> {
        let (variables, pipeline) = match tokens {
            [Token::Variable(one, ""), Token::Assign, rest @ ..] => (vec![*one], rest),
            [
                Token::Variable(one, ""),
                Token::Comma,
                Token::Variable(other, ""),
                Token::Assign,
                rest @ ..,
            ] => (vec![*one, *other], rest),
            _ => (Vec::new(), tokens),
        };
        self.pipeline(pipeline)?;
        self.declared.extend(variables);
        Ok(())
    }

    /// Checks commands that are connected with `|`, each of which may contain others in parentheses.
    fn pipeline(&self, tokens: &[Token<'a>]) -> Result<(), String> {
        let mut outer = Vec::new();
        let mut command = Command::default();
        for token in tokens {
            match *token {
                Token::Pipe => command = command.next()?,
                Token::Open => {
                    command.push(false)?;
                    outer.push(std::mem::take(&mut command));
                }
                Token::Close => {
                    command.next()?;
                    command = outer.pop().ok_or("`)` without `(`")?;
                }
                Token::Comma | Token::Assign => {
                    return Err("unexpected `,` or `=`".to_owned());
                }
                Token::Word(word) => {
                    self.check_word(word)?;
                    command.push(FUNCTIONS.contains(&word))?;
                }
                Token::Fields(fields) => {
                    if self.is_root_current() {
                        self.check_fields(fields)?;
                    }
                    command.push(false)?;
                }
                Token::Variable(name, fields) => {
                    self.check_variable(name, fields)?;
                    command.push(false)?;
                }
                Token::Dot | Token::Constant => command.push(false)?,
            }
        }
        command.next()?;
        if outer.is_empty() { Ok(()) } else { Err("`(` is not closed by `)`".to_owned()) }
    }

    /// Returns whether `.` is the value with which the template is executed.
    fn is_root_current(&self) -> bool {
        self.blocks.iter().all(|block| block.keyword == "if")
    }

    fn check_word(&self, word: &str) -> Result<(), String> {
        if FUNCTIONS.contains(&word) || CONSTANTS.contains(&word) {
            return Ok(());
        }
        Err(if self.variables.iter().any(|variable| variable.name == word) {
            "unknown function; a variable begins with a `.`".to_owned()
        } else {
            "unknown function; only the functions of Go's text/template are valid, such as `printf`"
                .to_owned()
        })
    }

    fn check_variable(&self, name: &str, fields: &str) -> Result<(), String> {
        let is_defined_elsewhere =
            self.blocks.iter().any(|block| matches!(block.keyword, "define" | "block"));
        match name {
            "" if fields.is_empty() || is_defined_elsewhere => Ok(()),
            "" => self.check_fields(fields),
            _ if self.declared.contains(name) => Ok(()),
            _ => Err("a variable with `$` is used before it is declared".to_owned()),
        }
    }

    fn check_fields(&self, fields: &str) -> Result<(), String> {
        let (name, of_value) = fields.split_once('.').unwrap_or((fields, ""));
        let variable = self.variables.iter().find(|variable| variable.name == name);
        if variable.is_some_and(|variable| of_value.is_empty() || variable.is_map) {
            return Ok(());
        }
        let names = self.variables.iter().map(|variable| format!("`.{}`", variable.name));
        Err(format!("unknown variable; valid variables: {}", names.collect::<Vec<_>>().join(", ")))
    }
}

/// A command of a pipeline: a value, or a function and its arguments.
#[derive(Default)]
struct Command {
    /// Whether the result of another command is passed to it.
    has_input: bool,
    operands: usize,
    is_call: bool,
}

impl Command {
    fn push(&mut self, is_function: bool) -> Result<(), String> {
        if self.operands == 0 {
            self.is_call = is_function;
        }
        if !self.is_call && (self.operands > 0 || self.has_input) {
            return Err("only a function can have arguments".to_owned());
        }
        self.operands += 1;
        Ok(())
    }

    /// Ends the command, and returns the one after a `|`.
    fn next(&self) -> Result<Self, String> {
        if self.operands == 0 {
            return Err("missing value between `{{` and `}}`".to_owned());
        }
        Ok(Self { has_input: true, ..Self::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_valid(template: &str) -> bool {
        let variables =
            [Variable { name: "KubeName", is_map: false }, Variable { name: "Labels", is_map: true }];
        template_problem(template, &variables).is_none()
    }

    #[test]
    fn a_template_that_go_executes_is_valid() {
        for template in [
            "",
            "plain }}",
            "{{ .KubeName }}",
            "a {{- .KubeName -}} b",
            "{{/* a comment */}}{{.KubeName}}",
            "{{ .Labels.env }}",
            "{{ $.Labels.env }}",
            r#"{{ printf "%s-%s" .KubeName (index .Labels "env") }}"#,
            r#"{{ .KubeName | printf "%s" | html }}"#,
            "{{ if .Labels.env }}a{{ else if eq .KubeName `b` }}b{{ else }}c{{ end }}",
            "{{ with .Labels }}{{ .env }}{{ $.KubeName }}{{ end }}",
            "{{ range $key, $value := .Labels }}{{ $key }}{{ if .x }}{{ break }}{{ end }}{{ else }}none{{ end }}",
            "{{ $name := .KubeName }}{{ $name }}{{ $name = print 1 true nil }}",
            "{{ (index .Labels `a`).b }}",
            r#"{{ define "a" }}{{ .Other }}{{ end }}{{ template "a" . }}{{ template "a" }}"#,
            r#"{{ block "a" .Labels }}{{ .other }}{{ end }}"#,
            "{{ \"}}\" }}",
        ] {
            assert!(is_valid(template), "{template}");
        }
    }

    #[test]
    fn a_template_that_go_refuses_is_invalid() {
        for template in [
            "{{ .KubeName | upper }}",
            "{{ KubeName }}",
            "{{ .KubName }}",
            "{{ $.KubName }}",
            "{{ .KubeName.env }}",
            "{{ printf `%s` .KubName }}",
            "{{ printf `%s` (print .KubName) }}",
            "{{ if .KubeName }}x",
            "{{ if .KubName }}x{{ end }}",
            "{{ if .KubeName }}{{ .KubName }}{{ end }}",
            "{{ if }}x{{ end }}",
            "{{ end }}",
            "{{ else }}",
            "{{ if .KubeName }}{{ else }}{{ else }}{{ end }}",
            "{{ if .KubeName }}{{ else range }}{{ end }}",
            "{{ break }}",
            "{{ (.KubeName }}",
            "{{ .KubeName) }}",
            "{{ .KubeName | }}",
            "{{ | print }}",
            "{{ () }}",
            "{{ .KubeName | .KubeName }}",
            "{{ .KubeName `a` }}",
            "{{ .KubeName, `a` }}",
            "{{ $name }}",
            "{{ template }}",
            "{{ /* a */ }}",
            "{{}}",
        ] {
            assert!(!is_valid(template), "{template}");
        }
    }
}
