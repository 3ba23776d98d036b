//! R-06 `org_directory`: which institutions, departments, programs and employers there are. For everybody; the address
//! of the person to write to is for those who manage institutions.

use domain::{
    Actor, Personal,
    class::Identity,
    identity::{OrgKind, OrgType, OrgUnitEvent as E},
    registry::AnyEvent,
};
use uuid::Uuid;

use crate::{
    fact::Fact,
    filter::Filter,
    row,
    table::{Analysts, Options, Table},
    words,
};

words!(OrgKind, OrgType);

row! {
    /// An org unit.
    pub struct OrgUnitRow {
        key {
            /// The org unit.
            org_id: Uuid => open,
        }
        columns {
            /// What kind of unit it is.
            kind: OrgKind => filter open,
            /// Its unique code.
            code: String => filter sort index open,
            /// Its name.
            name: String => sort search open,
            /// What type of organisation it is.
            r#type: OrgType => filter open,
            /// The unit that it belongs to.
            parent: Option<Uuid> => filter index open,
            /// ISO 3166-1 alpha-2.
            country: String => filter open,
            /// The city.
            city: Option<String> => open,
            /// The web site.
            website: Option<String> => open,
            /// Whether it takes new members, credentials and jobs.
            active: bool => filter open,
        }
        personal {
            /// An address of a person to write to.
            contact_email: Option<Personal<String, Identity>>,
        }
    }
}

///
pub struct OrgDirectory;

impl Table for OrgDirectory {
    const NAME: &'static str = "org_directory";
    const VERSION: u32 = 1;
    const FED_BY: &'static [&'static str] = &["identity.org_unit"];
    const OPTIONS: Options = Options {
        sort: &["code"],
        time_travel: true,
        stream_column: Some("org_id"),
        analysts: Analysts::Rows,
        ..Options::DEFAULT
    };
    type Row = OrgUnitRow;

    fn keys(fact: &Fact, out: &mut Vec<Uuid>) {
        out.push(fact.id);
    }

    fn fold(key: &Uuid, row: Option<OrgUnitRow>, fact: &Fact) -> Option<OrgUnitRow> {
        let AnyEvent::OrgUnit(event) = &fact.event else { return row };
        let E::OrgUnitCreated { kind, code, name, r#type, parent, country, city, website, contact_email } =
            event
        else {
            return row.map(|row| changed(row, event));
        };
        Some(OrgUnitRow {
            org_id: *key,
            kind: *kind,
            code: code.clone(),
            name: name.clone(),
            r#type: *r#type,
            parent: *parent,
            country: country.clone(),
            city: city.clone(),
            website: website.clone(),
            active: true,
            contact_email: contact_email.clone(),
        })
    }

    fn visible(actor: &Actor) -> Filter {
        Filter::all_with(actor, "read:public")
    }

    fn hidden(actor: &Actor) -> &'static [&'static str] {
        if actor.has("manage:institution") { &[] } else { &["contact_email"] }
    }
}

fn changed(mut row: OrgUnitRow, event: &E) -> OrgUnitRow {
    match event {
        E::OrgUnitCreated { .. } => {}
        E::OrgUnitRevised { name, r#type, city, website, contact_email } => {
            let revised = |new: &Option<String>, old: Option<String>| new.clone().or(old);
            row.name = name.clone().unwrap_or(row.name);
            row.r#type = r#type.unwrap_or(row.r#type);
            row.city = revised(city, row.city);
            row.website = revised(website, row.website);
            row.contact_email = contact_email.clone().or(row.contact_email);
        }
        E::OrgUnitMoved { parent } => row.parent = *parent,
        E::OrgUnitDeactivated { .. } => row.active = false,
        E::OrgUnitReactivated {} => row.active = true,
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    fn created(code: &str) -> E {
        E::OrgUnitCreated {
            kind: OrgKind::Institution,
            code: code.into(),
            name: "Pittsburg State University".into(),
            r#type: OrgType::University,
            parent: None,
            country: "US".into(),
            city: None,
            website: None,
            contact_email: Some(Personal::about(Uuid::from_u128(9), "registrar@example.edu".into())),
        }
    }

    const PSU: Uuid = Uuid::from_u128(1);

    fn row() -> OrgUnitRow {
        given::<OrgDirectory>([(PSU, AnyEvent::OrgUnit(created("PSU")))]).rows().remove(0)
    }

    #[test]
    fn a_created_unit_is_listed_and_active() {
        let row = row();
        assert_eq!((row.code.as_str(), row.active, row.parent), ("PSU", true, None));
        assert_eq!(
            row.contact_email.as_ref().and_then(Personal::get).map(String::as_str),
            Some("registrar@example.edu")
        );
    }

    #[test]
    fn a_revision_changes_only_what_it_states() {
        let revised = E::OrgUnitRevised {
            name: Some("Pitt State".into()),
            r#type: None,
            city: Some("Pittsburg".into()),
            website: None,
            contact_email: None,
        };
        given::<OrgDirectory>([(PSU, AnyEvent::OrgUnit(created("PSU"))), (PSU, AnyEvent::OrgUnit(revised))])
            .then([OrgUnitRow { name: "Pitt State".into(), city: Some("Pittsburg".into()), ..row() }]);
    }

    #[test]
    fn a_deactivated_unit_stays_listed() {
        let gone = E::OrgUnitDeactivated { reason: "merged".into() };
        let moved = E::OrgUnitMoved { parent: Some(Uuid::from_u128(2)) };
        let events = [created("PSU"), moved, gone].map(|event| (PSU, AnyEvent::OrgUnit(event)));
        given::<OrgDirectory>(events).then([OrgUnitRow {
            active: false,
            parent: Some(Uuid::from_u128(2)),
            ..row()
        }]);
    }
}
