//! Reads regexps into regular expression trees that stand for whole names; what a tree matches is not decided here.

use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{self, Ast, ClassSetItem, Span, Visitor};
use regex_syntax::hir::translate::Translator;
use regex_syntax::hir::{Hir, HirKind, Look};

use super::{InvalidFilter, MAX_COMPILED_BYTES, too_large};

/// What a class is counted with before anything is known of it. Spelling out a Unicode class takes time and memory,
/// so thousands of them are refused before they are spelled out.
const CLASS_BYTES: usize = 2048;

/// The tree of a regexp. Positions of errors are in characters.
///
/// The pattern is read alone, before anything is put around it: wrapped into `^(?:` and `)$` as text, `a)|(b` would
/// be taken for a regexp and `(?x)a #c` would not.
pub(super) fn parse(pattern: &str) -> Result<Hir, InvalidFilter> {
    let syntax = Parser::new()
        .parse(pattern)
        .map_err(|error| refusal(pattern, error.span(), &error.kind().to_string()))?;
    if let Err(span) = ast::visit(&syntax, ClassCounter { classes: 0 }) {
        return Err(too_large(position_of(pattern, &span)));
    }
    let tree = Translator::new()
        .translate(pattern, &syntax)
        .map_err(|error| refusal(pattern, error.span(), &error.kind().to_string()))?;
    Ok(without_own_anchors(tree))
}

fn refusal(pattern: &str, span: &Span, what: &str) -> InvalidFilter {
    let message =
        format!("{what}; a regexp is linear-time, without look-around and back-references");
    InvalidFilter::new(position_of(pattern, span), message)
}

fn position_of(pattern: &str, span: &Span) -> usize {
    pattern
        .char_indices()
        .take_while(|(start, _)| *start < span.start.offset)
        .count()
}

/// Fails at the class that is one too many.
struct ClassCounter {
    classes: usize,
}

impl ClassCounter {
    fn count(&mut self, span: &Span) -> Result<(), Span> {
        self.classes += 1;
        if self.classes * CLASS_BYTES > MAX_COMPILED_BYTES {
            Err(*span)
        } else {
            Ok(())
        }
    }
}

impl Visitor for ClassCounter {
    type Output = ();
    type Err = Span;

    fn finish(self) -> Result<(), Span> {
        Ok(())
    }

    fn visit_pre(&mut self, part: &Ast) -> Result<(), Span> {
        match part {
            Ast::ClassUnicode(_) | Ast::ClassPerl(_) | Ast::ClassBracketed(_) => {
                self.count(part.span())
            }
            _ => Ok(()),
        }
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), Span> {
        match item {
            ClassSetItem::Unicode(_) | ClassSetItem::Perl(_) | ClassSetItem::Bracketed(_) => {
                self.count(item.span())
            }
            _ => Ok(()),
        }
    }
}

/// `^…$` says what holds anyway. Without it the shape of the rest can be seen.
fn without_own_anchors(tree: Hir) -> Hir {
    let HirKind::Concat(parts) = tree.kind() else {
        return tree;
    };
    let begins = |part: &&Hir| is_look(part, &[Look::Start, Look::StartLF, Look::StartCRLF]);
    let ends = |part: &&Hir| is_look(part, &[Look::End, Look::EndLF, Look::EndCRLF]);
    let leading = parts.iter().take_while(begins).count();
    let kept = &parts[leading..];
    let trailing = kept.iter().rev().take_while(ends).count();
    if leading + trailing == 0 {
        return tree;
    }
    Hir::concat(kept[..kept.len() - trailing].to_vec())
}

fn is_look(part: &Hir, any_of: &[Look]) -> bool {
    matches!(part.kind(), HirKind::Look(look) if any_of.contains(look))
}
