//! The table of resource paths: catalogue 5 for what exists, context by context.

use super::{
    super::{From, IdFrom, Shows, routes::ADDRESS},
    Resource, delete, list, one, post, put, shown,
};

use From::{Caller, Derived, MonthOf, Path, Piece, Pieces, Text};

const ORG: &str = "identity.org_unit";
const PROFILE: &str = "identity.profile";
const ACCOUNT: &str = "identity.account";
const CLIENT: &str = "identity.api_client";
const SECURITY: &str = "identity.security_policy";
/// The one security policy (catalogue 2.1): its id is the UUIDv5 of this text.
const POLICY: IdFrom = IdFrom::Derived(&[Text("security-policy")]);
const SCHOLARSHIP: &str = "opportunities.scholarship";
const APPLICATION: &str = "opportunities.scholarship_application";
const CREDENTIAL: &str = "credentials.micro_credential";
const RECOGNITION: &str = "credentials.recognition";
const BUDGET: &str = "budgeting.budget_profile";
const MONTH: &str = "budgeting.budget_month";
const TRANSACTION: &str = "budgeting.transaction";
const DECISION: &str = "intelligence.decision";
const CONSENT: &str = "governance.consent_ledger";
const PRIVACY: &str = "governance.privacy_request";
const NOTICE: &str = "governance.recipient_notice";
const DISCLOSURE: &str = "governance.disclosure";
const PROCESSING: &str = "governance.processing_activity";
const INCIDENT: &str = "governance.security_incident";
const RETENTION: &str = "governance.retention_policy";
const HOLD: &str = "governance.legal_hold";
const REPLAY: &str = "governance.audit_replay";
const NOTIFICATION: &str = "notifications.notification";
const SETTINGS: &str = "notifications.recipient_settings";

/// The profile, the budget and the consents of a person have the id of their account.
const OWN: IdFrom = IdFrom::Caller;
/// A month's budget (catalogue 0.3).
const MONTH_ID: IdFrom = IdFrom::Derived(&[Text("budget"), Caller, Path("month")]);
const DAY_ID: IdFrom = IdFrom::Derived(&[Text("budget"), Caller, MonthOf("date")]);
/// The retention policy of a record class, for all its aggregates.
const RETENTION_ID: IdFrom = IdFrom::Derived(&[Text("retention"), Path("class"), Text("")]);

/// The table.
#[rustfmt::skip]
pub const TABLE: &[Resource] = &[
    // 5.1 identity and directory
    list("/v1/accounts", "accounts"),
    one("/v1/accounts/{id}", "accounts", &[("account", Path("id"))]),
    one("/v1/auth/security-status", "accounts", &[("account", Caller)]),
    list("/v1/auth/sessions", "sessions").only(&[("account", Caller)]),
    list("/v1/api-clients", "api_clients"),
    one("/v1/api-clients/{id}", "api_clients", &[("client", Path("id"))]),
    post("/v1/accounts/{id}/unlock", ACCOUNT, "UnlockAccount"),
    post("/v1/accounts/{id}/suspend", ACCOUNT, "SuspendAccount"),
    post("/v1/accounts/{id}/reinstate", ACCOUNT, "ReinstateAccount"),
    post("/v1/accounts/{id}/deactivate", ACCOUNT, "DeactivateAccount"),
    delete("/v1/accounts/{id}", ACCOUNT, "DeactivateAccount"),
    post("/v1/accounts/{id}/require-password-change", ACCOUNT, "RequirePasswordChange"),
    post("/v1/accounts/{id}/roles", ACCOUNT, "AssignRole"),
    delete("/v1/accounts/{id}/roles/{role}", ACCOUNT, "RevokeRole").giving(&[("role", Path("role"))]),
    post("/v1/accounts/{id}/permissions", ACCOUNT, "GrantPermission"),
    // A permission as R-01 names it: `<context>.<aggregate>.<resource>.<action>`.
    delete("/v1/accounts/{id}/permissions/{permission}", ACCOUNT, "RevokePermission").giving(&[
        ("resource_type", Pieces("permission", 0, 2)),
        ("resource_id", Piece("permission", 2)),
        ("action", Pieces("permission", 3, usize::MAX)),
    ]),
    post("/v1/api-clients", CLIENT, "IssueApiKey").to(IdFrom::New),
    post("/v1/api-clients/{id}/rotate", CLIENT, "RotateApiKey"),
    put("/v1/api-clients/{id}/limits", CLIENT, "ChangeApiKeyLimits"),
    delete("/v1/api-clients/{id}", CLIENT, "RevokeApiKey"),
    one("/v1/security-policy", "security_policies", &[("policy", Derived(&[Text("security-policy")]))])
        .for_scopes(&["manage:ops", "read:audit"]),
    list("/v1/orgs/{id}/members", "people").only(&[("orgs", Path("id"))]),
    post("/v1/security-policy/roles", SECURITY, "DefineRole").to(POLICY),
    put("/v1/security-policy/roles/{role}", SECURITY, "ChangeRoleScopes")
        .to(POLICY)
        .giving(&[("role", Path("role"))]),
    delete("/v1/security-policy/roles/{role}", SECURITY, "RetireRole")
        .to(POLICY)
        .giving(&[("role", Path("role"))]),
    put("/v1/security-policy/ip-allowlist", SECURITY, "SetIpAllowlist").to(POLICY).giving(&[ADDRESS]),
    put("/v1/security-policy/rate-limits/{class}", SECURITY, "SetRateLimit")
        .to(POLICY)
        .giving(&[("route_class", Path("class"))]),
    put("/v1/security-policy/password", SECURITY, "SetPasswordPolicy").to(POLICY),
    put("/v1/security-policy/requests", SECURITY, "SetRequestPolicy").to(POLICY),
    list("/v1/orgs", "org_directory").fresh(3600),
    one("/v1/orgs/{id}", "org_directory", &[("org_id", Path("id"))]).fresh(3600),
    post("/v1/orgs", ORG, "CreateOrgUnit").to(IdFrom::New),
    put("/v1/orgs/{id}", ORG, "ReviseOrgUnit"),
    post("/v1/orgs/{id}/move", ORG, "MoveOrgUnit"),
    post("/v1/orgs/{id}/deactivate", ORG, "DeactivateOrgUnit"),
    post("/v1/orgs/{id}/reactivate", ORG, "ReactivateOrgUnit"),
    one("/v1/users/me/profile", "profiles", &[("account", Caller)]),
    list("/v1/people", "people").fresh(300),
    one("/v1/people/{id}", "people", &[("account", Path("id"))]).fresh(300),
    put("/v1/users/me/profile", PROFILE, "ReviseProfile").to(OWN),
    put("/v1/users/me/profile/student", PROFILE, "SetStudentFacet").to(OWN),
    put("/v1/users/me/profile/alumni", PROFILE, "SetAlumniFacet").to(OWN),
    put("/v1/users/me/profile/employer", PROFILE, "SetEmployerFacet").to(OWN),
    put("/v1/users/me/profile/advisor", PROFILE, "SetAdvisorFacet").to(OWN),
    put("/v1/users/me/profile/mentor-offer", PROFILE, "SetMentorOffer").to(OWN),
    put("/v1/users/me/demographics", PROFILE, "DeclareDemographics").to(OWN),
    delete("/v1/users/me/demographics", PROFILE, "WithdrawDemographics").to(OWN),
    put("/v1/users/me/preferences", PROFILE, "SetPreferences").to(OWN),
    put("/v1/users/me/settings", PROFILE, "SetPreferences").to(OWN),
    put("/v1/users/me/visibility", PROFILE, "SetDirectoryVisibility").to(OWN),
    post("/v1/users/me/orgs", PROFILE, "JoinOrgUnit").to(OWN),
    delete("/v1/users/me/orgs/{id}", PROFILE, "LeaveOrgUnit").to(OWN).giving(&[("org", Path("id"))]),

    // 5.3 opportunities
    list("/v1/scholarships", "scholarships"),
    one("/v1/scholarships/{id}", "scholarships", &[("id", Path("id"))]),
    shown("/v1/scholarships/{id}/funnel", "scholarship_funnel", Shows::Funnel, &[("scholarship", Path("id"))])
        .for_scopes(&["manage:scholarships", "read:analytics"])
        .fresh(60),
    post("/v1/scholarships", SCHOLARSHIP, "DraftScholarship").to(IdFrom::New),
    put("/v1/scholarships/{id}", SCHOLARSHIP, "ReviseScholarship"),
    post("/v1/scholarships/{id}/publish", SCHOLARSHIP, "PublishScholarship"),
    post("/v1/scholarships/{id}/extend", SCHOLARSHIP, "ExtendDeadline"),
    post("/v1/scholarships/{id}/close", SCHOLARSHIP, "CloseScholarship"),
    post("/v1/scholarships/{id}/archive", SCHOLARSHIP, "ArchiveScholarship"),
    post("/v1/scholarships/{id}/selections", SCHOLARSHIP, "SelectAwardee"),
    delete("/v1/scholarships/{id}/selections/{app}", SCHOLARSHIP, "ReverseSelection")
        .giving(&[("application", Path("app"))]),
    list("/v1/applications", "applications"),
    one("/v1/applications/{id}", "applications", &[("id", Path("id"))]),
    list("/v1/applications/{id}/reviews", "application_reviews").only(&[("application_id", Path("id"))]),
    post("/v1/applications", APPLICATION, "StartApplication").to(IdFrom::New).giving(&[("applicant", Caller)]),
    put("/v1/applications/{id}/draft", APPLICATION, "SaveApplicationDraft"),
    post("/v1/applications/{id}/recommendations", APPLICATION, "RequestRecommendation"),
    post("/v1/applications/{id}/submit", APPLICATION, "SubmitApplication"),
    post("/v1/applications/{id}/withdraw", APPLICATION, "WithdrawApplication"),
    post("/v1/applications/{id}/accept", APPLICATION, "AcceptAward"),
    post("/v1/applications/{id}/refuse", APPLICATION, "RefuseAward"),
    post("/v1/applications/{id}/reviewers", APPLICATION, "AssignReviewer"),
    post("/v1/applications/{id}/conflicts", APPLICATION, "DeclareConflict"),
    post("/v1/applications/{id}/reviews", APPLICATION, "RecordReview").giving(&[("reviewer", Caller)]),
    post("/v1/applications/{id}/shortlist", APPLICATION, "ShortlistApplication"),
    post("/v1/applications/{id}/decline", APPLICATION, "DeclineApplication"),
    // The link that a recommender is sent: `<application>.<request>.<token>`.
    post("/v1/recommendations/{token}", APPLICATION, "AttachRecommendation")
        .to(IdFrom::Piece("token", 0))
        .giving(&[("request", Piece("token", 1)), ("token", Piece("token", 2))]),

    // 5.4 credentials
    list("/v1/credentials", "credentials").fresh(900),
    shown("/v1/credentials/search", "credentials", Shows::Nearest, &[]).fresh(900),
    one("/v1/credentials/{id}", "credentials", &[("id", Path("id"))]).fresh(900),
    list("/v1/credentials/{id}/recognitions", "recognitions").only(&[("credential", Path("id"))]),
    post("/v1/credentials", CREDENTIAL, "DraftCredential").to(IdFrom::New),
    put("/v1/credentials/{id}", CREDENTIAL, "ReviseCredential"),
    post("/v1/credentials/{id}/outcomes", CREDENTIAL, "AddLearningOutcome"),
    put("/v1/credentials/{id}/outcomes/{oid}", CREDENTIAL, "ReviseLearningOutcome")
        .giving(&[("outcome", Path("oid"))]),
    delete("/v1/credentials/{id}/outcomes/{oid}", CREDENTIAL, "RemoveLearningOutcome")
        .giving(&[("outcome", Path("oid"))]),
    post("/v1/credentials/{id}/outcomes/{oid}/classification", CREDENTIAL, "ClassifyOutcome")
        .giving(&[("outcome", Path("oid"))]),
    post("/v1/credentials/{id}/prerequisites", CREDENTIAL, "AddPrerequisite"),
    delete("/v1/credentials/{id}/prerequisites/{pid}", CREDENTIAL, "RemovePrerequisite")
        .giving(&[("prerequisite", Path("pid"))]),
    post("/v1/credentials/{id}/submit", CREDENTIAL, "SubmitCredentialForReview"),
    post("/v1/credentials/{id}/return", CREDENTIAL, "ReturnCredentialToDraft"),
    post("/v1/credentials/{id}/publish", CREDENTIAL, "PublishCredential"),
    post("/v1/credentials/{id}/archive", CREDENTIAL, "ArchiveCredential"),
    list("/v1/recognitions", "recognitions"),
    one("/v1/recognitions/{id}", "recognitions", &[("id", Path("id"))]),
    post("/v1/recognitions", RECOGNITION, "ProposeRecognition").to(IdFrom::New),
    put("/v1/recognitions/{id}", RECOGNITION, "ReviseRecognition"),
    post("/v1/recognitions/{id}/approve", RECOGNITION, "ApproveRecognition"),
    post("/v1/recognitions/{id}/reject", RECOGNITION, "RejectRecognition"),
    post("/v1/recognitions/{id}/suspend", RECOGNITION, "SuspendRecognition"),
    post("/v1/recognitions/{id}/resume", RECOGNITION, "ResumeRecognition"),
    post("/v1/recognitions/{id}/revoke", RECOGNITION, "RevokeRecognition"),

    // 5.5 budgets
    post("/v1/budget/setup", BUDGET, "SetUpBudget").to(OWN),
    shown("/v1/budget/calendar/{month}", "budget_calendar", Shows::Calendar,
        &[("month", Path("month")), ("budget_month", Derived(&[Text("budget"), Caller, Path("month")]))]),
    shown("/v1/budget/daily/{date}", "budget_calendar", Shows::Day,
        &[("month", MonthOf("date")), ("budget_month", Derived(&[Text("budget"), Caller, MonthOf("date")]))]),
    list("/v1/budget/envelopes/{month}", "envelopes")
        .only(&[("month", Path("month")), ("budget_month", Derived(&[Text("budget"), Caller, Path("month")]))]),
    list("/v1/budget/redistributions", "redistributions"),
    list("/v1/transactions", "transactions"),
    one("/v1/transactions/{id}", "transactions", &[("account", Caller), ("id", Path("id"))]),
    put("/v1/budget/income", BUDGET, "ChangeIncome").to(OWN),
    put("/v1/budget/split", BUDGET, "ChangeSplit").to(OWN),
    post("/v1/budget/categories", BUDGET, "DefineCategory").to(OWN),
    put("/v1/budget/categories/{key}", BUDGET, "ReviseCategory").to(OWN).giving(&[("key", Path("key"))]),
    delete("/v1/budget/categories/{key}", BUDGET, "RetireCategory").to(OWN).giving(&[("key", Path("key"))]),
    put("/v1/budget/mode", BUDGET, "SetRedistributionMode").to(OWN),
    put("/v1/budget/alerts/{key}", BUDGET, "SetCategoryAlert").to(OWN).giving(&[("key", Path("key"))]),
    post("/v1/budget/months/{month}", MONTH, "OpenBudgetMonth")
        .to(MONTH_ID)
        .giving(&[("account", Caller), ("month", Path("month"))]),
    post("/v1/budget/months/{month}/reallocate", MONTH, "ReallocateMonth").to(MONTH_ID),
    post("/v1/budget/months/{month}/close", MONTH, "CloseBudgetMonth").to(MONTH_ID),
    post("/v1/budget/months/{month}/redistribute", MONTH, "RedistributeBudget").to(MONTH_ID),
    post("/v1/budget/months/{month}/redistributions/{id}/accept", MONTH, "AcceptRedistribution")
        .to(MONTH_ID)
        .giving(&[("redistribution", Path("id"))]),
    post("/v1/budget/months/{month}/redistributions/{id}/dismiss", MONTH, "DismissRedistribution")
        .to(MONTH_ID)
        .giving(&[("redistribution", Path("id")), ("cause", Text("person"))]),
    post("/v1/budget/months/{month}/redistributions/{id}/revert", MONTH, "RevertRedistribution")
        .to(MONTH_ID)
        .giving(&[("redistribution", Path("id"))]),
    post("/v1/budget/months/{month}/move", MONTH, "MoveBetweenEnvelopes").to(MONTH_ID),
    put("/v1/budget/daily/{date}/{category}", MONTH, "AdjustDailyPlan")
        .to(DAY_ID)
        .giving(&[("date", Path("date")), ("category", Path("category"))]),
    post("/v1/transactions", TRANSACTION, "RecordTransaction").to(IdFrom::New).giving(&[("account", Caller)]),
    put("/v1/transactions/{id}", TRANSACTION, "AmendTransaction"),
    delete("/v1/transactions/{id}", TRANSACTION, "VoidTransaction"),
    post("/v1/transactions/{id}/category", TRANSACTION, "RecategorizeTransaction"),

    // 5.7 intelligence
    list("/v1/decisions/mine", "decisions").only(&[("subject", Caller)]),
    one("/v1/decisions/{id}", "decisions", &[("id", Path("id"))]),
    post("/v1/decisions/{id}/contest", DECISION, "ContestDecision"),
    post("/v1/decisions/{id}/review", DECISION, "ReviewDecision").giving(&[("reviewer", Caller)]),

    // 5.8 notifications
    list("/v1/notifications", "notifications"),
    post("/v1/notifications/{id}/read", NOTIFICATION, "MarkNotificationRead"),
    post("/v1/notifications/{id}/unread", NOTIFICATION, "MarkNotificationUnread"),
    post("/v1/notifications/{id}/archive", NOTIFICATION, "ArchiveNotification"),
    one("/v1/notifications/settings", "notification_settings", &[("account", Caller)]),
    put("/v1/notifications/settings/channels/{channel}", SETTINGS, "SwitchChannel")
        .to(OWN)
        .giving(&[("channel", Path("channel"))]),
    put("/v1/notifications/settings/{type}/{channel}", SETTINGS, "SetPreference")
        .to(OWN)
        .giving(&[("type", Path("type")), ("channel", Path("channel"))]),
    delete("/v1/notifications/settings/suppressions/{channel}", SETTINGS, "LiftSuppression")
        .to(OWN)
        .giving(&[("channel", Path("channel"))]),

    // 5.9 governance: consents and requests
    list("/v1/privacy/consents", "consents"),
    post("/v1/privacy/consents", CONSENT, "GrantConsent").to(OWN),
    delete("/v1/privacy/consents/{purpose}", CONSENT, "WithdrawConsent")
        .to(OWN)
        .giving(&[("purpose", Path("purpose"))]),
    post("/v1/privacy/consents/disclosures", CONSENT, "GrantDisclosureConsent").to(OWN),
    delete("/v1/privacy/consents/disclosures/{id}", CONSENT, "RevokeDisclosureConsent")
        .to(OWN)
        .giving(&[("consent", Path("id"))]),
    list("/v1/privacy/requests", "privacy_requests"),
    one("/v1/privacy/requests/{id}", "privacy_requests", &[("id", Path("id"))]),
    post("/v1/privacy/requests", PRIVACY, "OpenPrivacyRequest").to(IdFrom::New).giving(&[("subject", Caller)]),
    post("/v1/privacy/requests/{id}/verify", PRIVACY, "VerifyRequester"),
    post("/v1/privacy/requests/{id}/cancel", PRIVACY, "CancelPrivacyRequest"),
    post("/v1/privacy/requests/{id}/statement", PRIVACY, "AttachStatement"),
    post("/v1/privacy/requests/{id}/approve", PRIVACY, "ApprovePrivacyRequest"),
    post("/v1/privacy/requests/{id}/deny", PRIVACY, "DenyPrivacyRequest"),
    post("/v1/privacy/requests/{id}/extend", PRIVACY, "ExtendPrivacyRequest"),
    post("/v1/privacy/requests/{id}/hearing", PRIVACY, "ScheduleHearing"),
    post("/v1/privacy/requests/{id}/hearing/outcome", PRIVACY, "RecordHearingOutcome"),
    post("/v1/privacy/requests/{id}/lift", PRIVACY, "LiftRestriction"),
    // Art. 19 GDPR: whoever received data is told what became of it
    list("/v1/privacy/notices", "recipient_notices"),
    one("/v1/privacy/notices/{id}", "recipient_notices", &[("id", Path("id"))]),
    post("/v1/privacy/notices/{id}/tell", NOTICE, "TellRecipient"),
    post("/v1/privacy/notices/{id}/waive", NOTICE, "WaiveNotice"),
    // 5.9 governance: disclosures of education records
    list("/v1/disclosures/me", "disclosure_log").only(&[("subject", Caller)]),
    list("/v1/disclosures", "disclosure_log"),
    one("/v1/disclosures/{id}", "disclosure_log", &[("id", Path("id"))]),
    post("/v1/disclosures", DISCLOSURE, "RequestDisclosure").to(IdFrom::New),
    post("/v1/disclosures/{id}/authorize", DISCLOSURE, "AuthorizeDisclosure").giving(&[("by", Caller)]),
    post("/v1/disclosures/{id}/refuse", DISCLOSURE, "RefuseDisclosure"),
    post("/v1/disclosures/{id}/record", DISCLOSURE, "RecordDisclosure"),
    post("/v1/disclosures/{id}/redisclosures", DISCLOSURE, "AppendRedisclosure"),
    // 5.9 governance: the register of processing, and incidents
    list("/v1/governance/processing", "processing_register"),
    post("/v1/governance/processing", PROCESSING, "RegisterProcessingActivity").to(IdFrom::New),
    put("/v1/governance/processing/{id}", PROCESSING, "ReviseProcessingActivity"),
    delete("/v1/governance/processing/{id}", PROCESSING, "RetireProcessingActivity"),
    list("/v1/incidents", "incidents"),
    one("/v1/incidents/{id}", "incidents", &[("id", Path("id"))]),
    post("/v1/incidents", INCIDENT, "OpenSecurityIncident").to(IdFrom::New),
    post("/v1/incidents/{id}/classify", INCIDENT, "ClassifyIncident"),
    post("/v1/incidents/{id}/contain", INCIDENT, "RecordContainment"),
    post("/v1/incidents/{id}/notify-authority", INCIDENT, "NotifyAuthority"),
    post("/v1/incidents/{id}/notify-subjects", INCIDENT, "NotifySubjects"),
    post("/v1/incidents/{id}/close", INCIDENT, "CloseSecurityIncident"),
    // 5.9 governance: retention, holds, keys, replays
    list("/v1/governance/retention", "retention_board").for_scopes(&["manage:governance"]),
    put("/v1/governance/retention/{class}", RETENTION, "SetRetentionPolicy")
        .to(RETENTION_ID)
        .giving(&[("record_class", Path("class"))]),
    delete("/v1/governance/retention/{class}", RETENTION, "RetireRetentionPolicy").to(RETENTION_ID),
    post("/v1/governance/retention/{class}/runs", RETENTION, "StartRetentionRun").to(RETENTION_ID),
    list("/v1/governance/retention/holds", "legal_holds").for_scopes(&["manage:governance"]),
    one("/v1/governance/retention/holds/{id}", "legal_holds", &[("id", Path("id"))]).for_scopes(&["manage:governance"]),
    post("/v1/governance/retention/holds", HOLD, "PlaceLegalHold").to(IdFrom::New),
    put("/v1/governance/retention/holds/{id}", HOLD, "ExtendLegalHoldScope"),
    delete("/v1/governance/retention/holds/{id}", HOLD, "ReleaseLegalHold"),
    list("/v1/privacy/inventory/keys", "keys").for_scopes(&["manage:privacy"]),
    list("/v1/audit/replays", "audit_replays").for_scopes(&["replay:history", "read:audit"]),
    one("/v1/audit/replays/{id}", "audit_replays", &[("id", Path("id"))]).for_scopes(&["replay:history", "read:audit"]),
    post("/v1/audit/replays", REPLAY, "OpenAuditReplay").to(IdFrom::New),
    post("/v1/audit/replays/{id}/approve", REPLAY, "ApproveAuditReplay"),
    post("/v1/audit/replays/{id}/close", REPLAY, "CloseAuditReplay"),
];
