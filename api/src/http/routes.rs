//! The one list of routes: this process's own pages, the seeds' resource paths, and one route for every command there
//! is. What is not in it cannot be called.

use actix_web::http::Method;
use commands::Catalog;

use super::{CommandRoute, From, Governance, IdFrom, Identity, Log, Operation, Page, Route, resources};
use crate::auth::Access;

/// From where somebody calls, they do not say themselves.
pub(super) const ADDRESS: (&str, From) = ("caller_ip", From::Address);

/// All routes.
pub fn routes(catalog: &Catalog) -> Vec<Route> {
    pages()
        .into_iter()
        .chain([batch(), graphql()])
        .chain(governance())
        .chain(log())
        .chain(identity())
        .chain(resources::routes(catalog))
        .chain(canonical(catalog))
        .collect()
}

fn pages() -> Vec<Route> {
    let pages = [
        ("/health", Page::Health, Access::Public),
        ("/health/live", Page::Live, Access::Public),
        ("/health/ready", Page::Ready, Access::Public),
        ("/health/startup", Page::Started, Access::Public),
        ("/problems/{code}", Page::ProblemDoc, Access::Public),
        ("/docs", Page::Docs, Access::Public),
        ("/docs/events", Page::Docs, Access::Public),
        ("/docs/docs.js", Page::DocsScript, Access::Public),
        ("/docs/docs.css", Page::DocsStyle, Access::Public),
        ("/v1/openapi.json", Page::OpenApi, Access::Public),
        ("/v1/asyncapi.json", Page::AsyncApi, Access::Public),
        ("/v1/privacy/package.schema.json", Page::PackageSchema, Access::Public),
        ("/v1/stream", Page::Stream, Access::Authenticated),
        ("/v1/ws", Page::Socket, Access::Authenticated),
    ];
    let route = |(path, page, access): (&str, Page, Access)| Route {
        method: Method::GET,
        template: path.to_owned(),
        access,
        operation: Operation::Page(page),
    };
    pages.into_iter().map(route).collect()
}

fn batch() -> Route {
    Route {
        method: Method::POST,
        template: "/v1/batch".to_owned(),
        access: Access::Authenticated,
        operation: Operation::Batch,
    }
}

fn graphql() -> Route {
    Route {
        method: Method::POST,
        template: "/v1/graphql".to_owned(),
        access: Access::Authenticated,
        operation: Operation::Graphql,
    }
}

/// Catalogue 5.9: lineage and audit.
fn governance() -> Vec<Route> {
    const AUDIT: Access = Access::AnyScope(&["read:audit"]);
    const LINEAGE: Access = Access::AnyScope(&["read:audit", "read:analytics"]);
    const REPLAY: Access = Access::AnyScope(&["replay:history"]);
    const GOVERNANCE: Access = Access::AnyScope(&["manage:governance", "manage:privacy", "read:audit"]);
    const PRIVACY: Access = Access::AnyScope(&["manage:privacy"]);
    let routes = [
        ("/v1/privacy/inventory/me", Governance::OwnInventory, Access::Authenticated),
        ("/v1/privacy/inventory/{subject}", Governance::Inventory, PRIVACY),
        ("/v1/privacy/requests/{id}/package", Governance::Package, Access::Authenticated),
        ("/v1/privacy/requests/{id}/package/page", Governance::PackagePage, Access::Authenticated),
        ("/v1/audit/replays/{id}/events", Governance::Replay, REPLAY),
        ("/v1/governance/due", Governance::Due, PRIVACY),
        ("/v1/audit/replays/{id}/state", Governance::ReplayState, REPLAY),
        ("/v1/audit/replays/{id}/export", Governance::ReplayExport, REPLAY),
        ("/v1/governance/data-map", Governance::DataMap, GOVERNANCE),
        ("/v1/audit/trail", Governance::Trail, AUDIT),
        ("/v1/audit/me", Governance::Mine, Access::Authenticated),
        ("/v1/audit/events", Governance::Events, AUDIT),
        ("/v1/audit/events/{id}", Governance::Event, AUDIT),
        ("/v1/audit/events/{id}/chain", Governance::Chain, Access::Authenticated),
        ("/v1/governance/lineage/{type}/{id}", Governance::Lineage, LINEAGE),
        ("/v1/governance/lineage/export/openlineage", Governance::OpenLineage, LINEAGE),
    ];
    let route = |(path, governance, access): (&str, Governance, Access)| Route {
        // What is handed over is made once, and that is on record.
        method: if governance == Governance::ReplayExport { Method::POST } else { Method::GET },
        template: path.to_owned(),
        access,
        operation: Operation::Governance(governance),
    };
    routes.into_iter().map(route).collect()
}

/// What was signed of the log. Hashes are public; a proof names a stream.
fn log() -> Vec<Route> {
    let routes = [
        ("/v1/log/checkpoint", Log::Checkpoint, Access::Public),
        ("/v1/log/key", Log::Key, Access::Public),
        // `tile/<L>/<N>[.p/<W>]`, where <N> has a segment for every three digits: enough for 256 billion events.
        ("/v1/log/tile/{level}/{a}", Log::Tile, Access::Public),
        ("/v1/log/tile/{level}/{a}/{b}", Log::Tile, Access::Public),
        ("/v1/log/tile/{level}/{a}/{b}/{c}", Log::Tile, Access::Public),
        ("/v1/log/tile/{level}/{a}/{b}/{c}/{d}", Log::Tile, Access::Public),
        ("/v1/log/consistency", Log::Consistency, Access::Public),
        ("/v1/log/proof/{position}", Log::Proof, Access::AnyScope(&["read:audit"])),
    ];
    let route = |(path, log, access): (&str, Log, Access)| Route {
        method: Method::GET,
        template: path.to_owned(),
        access,
        operation: Operation::Log(log),
    };
    routes.into_iter().map(route).collect()
}

/// Catalogue 5.1: who somebody is.
fn identity() -> Vec<Route> {
    use Identity as I;
    const KNOWN: Access = Access::Authenticated;
    let routes = [
        (Method::GET, "/.well-known/jwks.json", I::Keys, Access::Public),
        (Method::POST, "/v1/auth/register", I::Register, Access::Public),
        (Method::POST, "/v1/auth/invitations", I::Invite, Access::AnyScope(&["manage:users"])),
        (Method::POST, "/v1/auth/verify-email", I::VerifyEmail, Access::Public),
        (Method::POST, "/v1/auth/resend-verification", I::ResendVerification, Access::Public),
        (Method::POST, "/v1/auth/login", I::Login, Access::Public),
        (Method::POST, "/v1/auth/refresh", I::Refresh, Access::Public),
        (Method::POST, "/v1/auth/forgot-password", I::ForgotPassword, Access::Public),
        (Method::POST, "/v1/auth/reset-password", I::ResetPassword, Access::Public),
        (Method::POST, "/v1/auth/token", I::Token, Access::Public),
        (Method::POST, "/v1/auth/sso/{provider}/start", I::SsoStart, Access::Public),
        (Method::POST, "/v1/auth/google", I::SsoGoogle, Access::Public),
        (Method::POST, "/v1/auth/microsoft", I::SsoMicrosoft, Access::Public),
        (Method::POST, "/v1/auth/oidc/{provider}/callback", I::SsoCallback, Access::Public),
        (Method::POST, "/v1/auth/webauthn/start", I::KeyStart, Access::Public),
        (Method::POST, "/v1/auth/webauthn/login", I::KeyLogin, Access::Public),
        (Method::POST, "/v1/auth/logout", I::Logout, KNOWN),
        (Method::POST, "/v1/auth/logout-everywhere", I::LogoutEverywhere, KNOWN),
        (Method::POST, "/v1/auth/change-password", I::ChangePassword, KNOWN),
        (Method::POST, "/v1/auth/change-email", I::ChangeEmail, KNOWN),
        (Method::POST, "/v1/auth/confirm-email", I::ConfirmEmail, KNOWN),
        (Method::POST, "/v1/auth/elevate", I::Elevate, KNOWN),
        (Method::POST, "/v1/auth/elevate/webauthn/start", I::KeyProofStart, KNOWN),
        (Method::POST, "/v1/auth/mfa/webauthn/start", I::KeyRegisterStart, KNOWN),
        (Method::POST, "/v1/auth/mfa/webauthn", I::KeyRegister, KNOWN),
        (Method::DELETE, "/v1/auth/mfa/webauthn/{id}", I::KeyRemove, KNOWN),
        (Method::POST, "/v1/auth/mfa/sso/{provider}/start", I::SsoLinkStart, KNOWN),
        (Method::POST, "/v1/auth/mfa/sso/{provider}", I::SsoLink, KNOWN),
        (Method::DELETE, "/v1/auth/mfa/sso/{provider}", I::SsoUnlink, KNOWN),
        (Method::POST, "/v1/auth/mfa/totp", I::EnrolTotp, KNOWN),
        (Method::POST, "/v1/auth/mfa/totp/confirm", I::ConfirmTotp, KNOWN),
        (Method::DELETE, "/v1/auth/mfa/totp", I::DisableTotp, KNOWN),
        (Method::POST, "/v1/auth/mfa/recovery-codes", I::RecoveryCodes, KNOWN),
    ];
    let route = |(method, path, identity, access): (Method, &str, Identity, Access)| Route {
        method,
        template: path.to_owned(),
        access,
        operation: Operation::Identity(identity),
    };
    routes.into_iter().map(route).collect()
}

/// `POST /v1/{context}/{aggregate}/{id}/{command}` for every command that is not the system's own. Who may issue it the
/// aggregate says, which denies by default.
fn canonical(catalog: &Catalog) -> Vec<Route> {
    let mut routes = Vec::new();
    for (aggregate, entry) in catalog.aggregates.iter().enumerate() {
        for (command, issued) in entry.commands.iter().enumerate().filter(|(_, issued)| !issued.system) {
            routes.push(Route {
                method: Method::POST,
                template: format!("/v1/{}/{}/{{id}}/{}", entry.context, entry.aggregate, issued.segment),
                access: Access::Authenticated,
                operation: Operation::Command(CommandRoute {
                    aggregate,
                    command,
                    id: IdFrom::Path("id"),
                    given: if issued.name == "SetIpAllowlist" { &[ADDRESS] } else { &[] },
                }),
            });
        }
    }
    routes
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_command_but_the_systems_own_has_its_canonical_route() {
        let catalog = Catalog::new();
        let paths: HashSet<String> = routes(&catalog).into_iter().map(|route| route.template).collect();
        for aggregate in &catalog.aggregates {
            for command in &aggregate.commands {
                let path =
                    format!("/v1/{}/{}/{{id}}/{}", aggregate.context, aggregate.aggregate, command.segment);
                assert_eq!(paths.contains(&path), !command.system, "{path}");
            }
        }
    }

    #[test]
    fn only_health_documents_the_logs_hashes_and_the_ways_in_are_public() {
        let public: Vec<String> = routes(&Catalog::new())
            .into_iter()
            .filter(|route| !route.access.needs_token())
            .map(|route| route.template)
            .collect();
        let expected = ["/health", "/health/live", "/health/ready", "/health/startup", "/problems/{code}"];
        let tiles = ["/{a}", "/{a}/{b}", "/{a}/{b}/{c}", "/{a}/{b}/{c}/{d}"];
        let tiles = tiles.map(|index| format!("/v1/log/tile/{{level}}{index}"));
        let tiles: Vec<&str> = tiles.iter().map(String::as_str).collect();
        let hashes = ["/v1/log/checkpoint", "/v1/log/key"];
        let entrances = [
            "register",
            "verify-email",
            "resend-verification",
            "login",
            "refresh",
            "forgot-password",
            "reset-password",
            "token",
            "sso/{provider}/start",
            "google",
            "microsoft",
            "oidc/{provider}/callback",
            "webauthn/start",
            "webauthn/login",
        ];
        let entrances = entrances.map(|name| format!("/v1/auth/{name}"));
        let entrances: Vec<&str> = entrances.iter().map(String::as_str).collect();
        let documents = [
            "/docs",
            "/docs/events",
            "/docs/docs.js",
            "/docs/docs.css",
            "/v1/openapi.json",
            "/v1/asyncapi.json",
            "/v1/privacy/package.schema.json",
        ];
        let log = [&hashes[..], &tiles, &["/v1/log/consistency"]].concat();
        let expected = [&expected[..], &documents, &log, &["/.well-known/jwks.json"], &entrances];
        assert_eq!(public, expected.concat());
    }
}
