//! What a route asks of its caller. A route cannot be declared without it.

use domain::Actor;

/// What a route asks of its caller, before the aggregate or the read model has its say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: health and documents, which tell nothing about anybody.
    Public,
    /// A valid token; the aggregate or the rows' owner decide the rest.
    Authenticated,
    /// A valid token that holds at least one of these scopes, if only within some org unit: for what, the rows tell.
    AnyScope(&'static [&'static str]),
}

impl Access {
    /// Whether a caller passes. Nobody is a caller without a token.
    pub fn admits(self, caller: Option<&Actor>) -> bool {
        match (self, caller) {
            (Access::Public, _) => true,
            (Access::Authenticated, caller) => caller.is_some(),
            (Access::AnyScope(scopes), Some(caller)) => {
                scopes.iter().any(|scope| caller.has_somewhere(scope))
            }
            (Access::AnyScope(_), None) => false,
        }
    }

    /// Whether it asks for a token.
    pub fn needs_token(self) -> bool {
        self != Access::Public
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_scope_is_asked_of_whoever_has_a_token() {
        let access = Access::AnyScope(&["read:audit", "manage:ops"]);
        let somebody = |role| Actor::user(Uuid::from_u128(1), &[role]);
        assert!(access.admits(Some(&somebody("compliance"))) && access.admits(Some(&somebody("operator"))));
        assert!(!access.admits(Some(&somebody("student"))) && !access.admits(None));
    }
}
