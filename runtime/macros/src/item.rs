//! What may be marked, and the functions in it.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Block, Error, Item, Result, Signature};

use crate::checks::{self, Within};

/// The marked item with its checks.
///
/// # Errors
/// There are arguments; the item cannot be marked, or a function in it cannot.
pub(crate) fn expand(arguments: &TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "`#[preemptible]` takes no arguments"));
    }
    let mut item: Item = syn::parse2(item)?;
    match &mut item {
        Item::Fn(function) => {
            if let Some(token) = &function.sig.constness {
                return Err(Error::new_spanned(token, CONST));
            }
            mark(&function.sig, &mut function.block, Within::Function)?;
        }
        Item::Mod(module) if module.content.is_none() => {
            return Err(Error::new_spanned(
                module,
                "`#[preemptible]` cannot see the file of a `mod x;`: mark the functions and `impl`s in it",
            ));
        }
        Item::Impl(_) | Item::Mod(_) => all_in(|everything| everything.visit_item_mut(&mut item))?,
        other => return Err(Error::new_spanned(other, OTHER)),
    }
    Ok(item.into_token_stream())
}

const OTHER: &str =
    "`#[preemptible]` goes on a function with a body, on an `impl` block or on an inline `mod`";
const CONST: &str =
    "a `const fn` cannot be preemptible: it may run in the compiler, where there is no scheduler";
const ASYNC: &str = "an `async fn` cannot be preemptible: calling it runs nothing, and its body runs inside whatever \
                     polls it; mark the functions that it calls";

/// Puts checks into one function.
fn mark(signature: &Signature, block: &mut Block, within: Within) -> Result<()> {
    if let Some(token) = &signature.asyncness {
        return Err(Error::new_spanned(token, ASYNC));
    }
    checks::insert(block, signature.fn_token.span, within)
}

/// Visits with a visitor that marks every function it comes to, and returns what it could not.
pub(crate) fn all_in(visit: impl FnOnce(&mut Everything)) -> Result<()> {
    let mut everything = Everything { error: None };
    visit(&mut everything);
    everything.error.map_or(Ok(()), Err)
}

/// Marks every function of a marked `impl` or `mod`.
pub(crate) struct Everything {
    error: Option<Error>,
}

impl Everything {
    fn function(&mut self, attributes: &[Attribute], signature: &Signature, block: &mut Block) {
        let is_left_alone = signature.constness.is_some() || attributes.iter().any(has_its_own_way);
        if !is_left_alone && let Err(error) = mark(signature, block, Within::Everything) {
            match &mut self.error {
                None => self.error = Some(error),
                Some(first) => first.combine(error),
            }
        }
    }
}

/// Whether a function with this attribute is marked by itself, or has no prologue to put a check into.
fn has_its_own_way(attribute: &Attribute) -> bool {
    let is_called = |name| attribute.path().segments.last().is_some_and(|last| last.ident == name);
    is_called("preemptible")
        || is_called("naked")
        || is_called("unsafe") && attribute.meta.to_token_stream().to_string().contains("naked")
}

impl VisitMut for Everything {
    fn visit_item_mut(&mut self, item: &mut Item) {
        match item {
            Item::Fn(function) => self.function(&function.attrs, &function.sig, &mut function.block),
            // Only these hold functions; other items hold constant expressions.
            Item::Impl(_) | Item::Trait(_) | Item::Mod(_) => visit_mut::visit_item_mut(self, item),
            _ => {}
        }
    }

    fn visit_impl_item_fn_mut(&mut self, function: &mut syn::ImplItemFn) {
        self.function(&function.attrs, &function.sig, &mut function.block);
    }

    fn visit_trait_item_fn_mut(&mut self, function: &mut syn::TraitItemFn) {
        if let Some(block) = &mut function.default {
            self.function(&function.attrs, &function.sig, block);
        }
    }

    fn visit_expr_mut(&mut self, _: &mut syn::Expr) {}

    fn visit_type_mut(&mut self, _: &mut syn::Type) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    fn refusal(arguments: &TokenStream, item: TokenStream) -> String {
        expand(arguments, item).expect_err("this must be refused").to_string()
    }

    /// How many checks `item` gets.
    #[track_caller]
    fn expect_checks(item: TokenStream, count: usize) {
        let text = expand(&quote!(), item).expect("this may be marked").to_string();
        assert_eq!(text.matches(":: checkpoint ()").count(), count, "{text}");
    }

    #[test]
    fn what_cannot_be_marked_is_refused_with_the_reason() {
        let none = quote!();
        assert_eq!(
            refusal(
                &none,
                quote!(
                    async fn f() {}
                )
            ),
            ASYNC
        );
        assert_eq!(
            refusal(
                &none,
                quote!(
                    const fn f() {}
                )
            ),
            CONST
        );
        assert_eq!(
            refusal(
                &none,
                quote!(
                    struct S;
                )
            ),
            OTHER
        );
        assert_eq!(
            refusal(
                &none,
                quote!(
                    fn f();
                )
            ),
            OTHER
        );
        assert!(
            refusal(
                &none,
                quote!(
                    mod m;
                )
            )
            .contains("cannot see the file")
        );
        assert!(
            refusal(
                &quote!(loops),
                quote!(
                    fn f() {}
                )
            )
            .contains("takes no arguments")
        );
    }

    #[test]
    fn an_async_fn_is_refused_wherever_it_is_and_each_one_is_shown() {
        let item = quote!(
            mod m {
                async fn f() {}
                impl S {
                    async fn g(&self) {}
                }
            }
        );
        let error = expand(&quote!(), item).expect_err("refused");
        assert_eq!(error.into_iter().count(), 2);
        assert_eq!(
            refusal(
                &quote!(),
                quote!(
                    mod m {
                        fn f() {
                            async fn g() {}
                        }
                    }
                )
            ),
            ASYNC
        );
    }

    #[test]
    fn an_impl_and_a_mod_mean_every_function_in_them() {
        expect_checks(
            quote!(impl S { fn f(&self) {} fn g() { loop {} } const fn h() {} const N: u8 = 0; }),
            3,
        );
        expect_checks(quote!(impl T for S { fn f(self: Box<Self>) {} }), 1);
        let module = quote!(
            mod m {
                fn f() {}
                trait T {
                    fn g() {}
                    fn h();
                }
                mod n {
                    fn i() {
                        fn nested() {
                            loop {}
                        }
                    }
                }
                const N: fn() = {
                    fn alone() {
                        loop {}
                    }
                    alone
                };
            }
        );
        expect_checks(module, 5);
    }

    #[test]
    fn a_function_that_is_marked_by_itself_gets_no_second_check() {
        expect_checks(
            quote!(
                mod m {
                    #[preemptible]
                    fn f() {}
                    #[corefit_runtime::preemptible]
                    fn g() {}
                }
            ),
            0,
        );
        expect_checks(
            quote!(
                mod m {
                    #[unsafe(naked)]
                    extern "C" fn f() {}
                    #[test]
                    fn g() {}
                }
            ),
            1,
        );
    }
}
