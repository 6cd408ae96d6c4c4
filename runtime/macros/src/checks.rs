//! The checks of one function: at its entry, and at the start of every iteration of its loops.

use proc_macro2::Span;
use syn::visit_mut::{self, VisitMut};
use syn::{Block, Error, Expr, Item, Result, Stmt, parse_quote_spanned};

use crate::item;

/// Whether items within a function are marked too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Within {
    /// No: only the function is marked.
    Function,
    /// Yes: all that is in the marked `impl` or `mod` is.
    Everything,
}

/// Puts the checks into the body of a function. `entry` is the span of its `fn`.
///
/// # Errors
/// An item within it cannot be marked.
pub(crate) fn insert(body: &mut Block, entry: Span, within: Within) -> Result<()> {
    let mut loops = Loops { within, error: None };
    loops.visit_block_mut(body);
    body.stmts.insert(0, check(entry));
    loops.error.map_or(Ok(()), Err)
}

/// One check, whose names mean the same wherever it stands.
fn check(at: Span) -> Stmt {
    parse_quote_spanned!(Span::mixed_site().located_at(at)=> ::corefit_runtime::checkpoint();)
}

struct Loops {
    within: Within,
    error: Option<Error>,
}

impl VisitMut for Loops {
    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        match expression {
            // Not run by whoever calls the function, or run in the compiler.
            Expr::Async(_) | Expr::Const(_) => return,
            Expr::Closure(closure) if closure.asyncness.is_some() || closure.constness.is_some() => return,
            // The length is run in the compiler.
            Expr::Repeat(repeat) => return self.visit_expr_mut(&mut repeat.expr),
            _ => visit_mut::visit_expr_mut(self, expression),
        }
        match expression {
            Expr::ForLoop(each) => each.body.stmts.insert(0, check(each.for_token.span)),
            Expr::Loop(each) => each.body.stmts.insert(0, check(each.loop_token.span)),
            Expr::While(each) => each.body.stmts.insert(0, check(each.while_token.span)),
            _ => {}
        }
    }

    fn visit_item_mut(&mut self, item: &mut Item) {
        if self.within == Within::Everything
            && let Err(error) = item::all_in(|everything| everything.visit_item_mut(item))
        {
            match &mut self.error {
                None => self.error = Some(error),
                Some(first) => first.combine(error),
            }
        }
    }

    // Their constants are run in the compiler.
    fn visit_type_mut(&mut self, _: &mut syn::Type) {}
    fn visit_generic_argument_mut(&mut self, _: &mut syn::GenericArgument) {}
    fn visit_pat_mut(&mut self, _: &mut syn::Pat) {}
    fn visit_attribute_mut(&mut self, _: &mut syn::Attribute) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::{ToTokens, quote};
    use syn::ItemFn;

    #[track_caller]
    fn check_body(before: &ItemFn, after: &ItemFn) {
        let mut function = before.clone();
        insert(&mut function.block, Span::call_site(), Within::Function).expect("this may be marked");
        assert_eq!(function.to_token_stream().to_string(), after.to_token_stream().to_string());
    }

    fn function(text: proc_macro2::TokenStream) -> ItemFn {
        syn::parse2(text).expect("a function")
    }

    #[test]
    fn every_loop_and_the_entry_are_checked() {
        let before = function(quote!(
            fn f() -> u8 {
                for i in 0..9 {
                    if i > 2 {
                        continue;
                    }
                }
                while let Some(x) = next()
                    && x > 1
                {
                    go(x)
                }
                'a: loop {
                    break 'a 5;
                }
            }
        ));
        let after = function(quote!(
            fn f() -> u8 {
                ::corefit_runtime::checkpoint();
                for i in 0..9 {
                    ::corefit_runtime::checkpoint();
                    if i > 2 {
                        continue;
                    }
                }
                while let Some(x) = next()
                    && x > 1
                {
                    ::corefit_runtime::checkpoint();
                    go(x)
                }
                'a: loop {
                    ::corefit_runtime::checkpoint();
                    break 'a 5;
                }
            }
        ));
        check_body(&before, &after);
    }

    #[test]
    fn the_loops_of_closures_are_checked_and_their_entry_is_not() {
        let before = function(quote!(
            fn f() {
                let g = |x| x + 1;
                run(move || {
                    loop {
                        g(2);
                    }
                })
            }
        ));
        let after = function(quote!(
            fn f() {
                ::corefit_runtime::checkpoint();
                let g = |x| x + 1;
                run(move || {
                    loop {
                        ::corefit_runtime::checkpoint();
                        g(2);
                    }
                })
            }
        ));
        check_body(&before, &after);
    }

    #[test]
    fn a_loop_in_what_another_loop_is_over_is_checked() {
        let before = function(quote!(
            fn f() {
                for x in loop {
                    break y;
                } {
                    loop {}
                }
            }
        ));
        let after = function(quote!(
            fn f() {
                ::corefit_runtime::checkpoint();
                for x in loop {
                    ::corefit_runtime::checkpoint();
                    break y;
                } {
                    ::corefit_runtime::checkpoint();
                    loop {
                        ::corefit_runtime::checkpoint();
                    }
                }
            }
        ));
        check_body(&before, &after);
    }

    #[test]
    fn what_others_run_or_the_compiler_does_is_left_alone() {
        let body = quote!(
            async { loop {} };
            const { while true {} };
            [0; { let mut n = 0; while n < 3 { n += 1 } n }];
            let x: [u8; { loop { break 3 } }] = with::<{ loop { break 3 } }>();
            println!("{}", loop { break 1 });
            fn nested() { loop {} }
        );
        let (before, after) =
            (quote!(fn f() { #body }), quote!(fn f() { ::corefit_runtime::checkpoint(); #body }));
        check_body(&function(before), &function(after));
    }

    #[test]
    fn attributes_within_a_body_stay_before_the_check() {
        let before = function(quote!(
            fn f() {
                #![allow(unused)]
                loop {}
            }
        ));
        let after = function(quote!(
            fn f() {
                #![allow(unused)]
                ::corefit_runtime::checkpoint();
                loop {
                    ::corefit_runtime::checkpoint();
                }
            }
        ));
        check_body(&before, &after);
    }
}
