//! The macro that declares rows.

/// Declares a row: its key, its columns, and the fields that are kept sealed. Doc comments become the comments of the
/// columns; the words after `=>` are [`crate::row::mark`]s.
///
/// ```
/// use domain::{Personal, class::Profile};
/// projections::row! {
///     /// A person, as the directory shows them.
///     pub struct PersonRow {
///         key {
///             /// The account.
///             account_id: uuid::Uuid => pseudonym,
///         }
///         columns {
///             /// The year of graduation.
///             grad_year: Option<i32> => filter sort open,
///         }
///         personal {
///             /// What they say of themselves.
///             headline: Personal<String, Profile>,
///         }
///     }
/// }
/// ```
#[macro_export]
macro_rules! row {
    (
        $(#[doc = $doc:literal])*
        pub struct $Row:ident {
            key { $( $(#[doc = $kdoc:literal])* $key:ident : $kty:ty $(=> $($kmark:ident)+)? ),+ $(,)? }
            $( columns { $( $(#[doc = $cdoc:literal])* $col:ident : $cty:ty $(=> $($cmark:ident)+)? ),* $(,)? } )?
            $( personal { $( $(#[doc = $pdoc:literal])* $per:ident : $pty:ty ),+ $(,)? } )?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $Row {
            $( $(#[doc = $kdoc])* pub $key: $kty, )+
            $($( $(#[doc = $cdoc])* pub $col: $cty, )*)?
            $($( $(#[doc = $pdoc])* pub $per: $pty, )+)?
        }

        impl $crate::row::Row for $Row {
            type Key = $crate::row!(@key_type $($kty),+);
            const DOC: &'static str = concat!($($doc, "\n"),*);
            const COLUMNS: &'static [$crate::row::Column] = &[
                $( $crate::row!(@column $key $kty, concat!($($kdoc, "\n"),*), $crate::row::mark::key $($(| $crate::row::mark::$kmark)+)?), )+
                $($( $crate::row!(@column $col $cty, concat!($($cdoc, "\n"),*), 0 $($(| $crate::row::mark::$cmark)+)?), )*)?
            ];
            const PERSONAL: &'static [$crate::row::PersonalColumn] = &[
                $($( $crate::row::PersonalColumn {
                    name: $crate::row::bare(stringify!($per)),
                    doc: concat!($($pdoc, "\n"),*),
                    schema: |generator| generator.subschema_for::<$pty>(),
                }, )+)?
            ];

            fn key(&self) -> Self::Key {
                $crate::row!(@key_value $(self.$key.clone()),+)
            }

            fn values(&self, out: &mut Vec<$crate::row::Value>) {
                use $crate::row::Cell;
                $( out.push(self.$key.value()); )+
                $($( out.push(self.$col.value()); )*)?
            }

            fn seal(&self) -> Result<(String, Vec<::domain::PersonalGroup>), $crate::row::RowError> {
                $crate::row!(@seal self $($($per: $pty,)+)?)
            }

            fn read(
                values: Vec<$crate::row::Value>,
                personal: &str,
            ) -> Result<Self, $crate::row::RowError> {
                let mut values = values.into_iter();
                let mut next = || values.next().ok_or($crate::row::RowError::TooShort);
                $( let $key = <$kty as $crate::row::Cell>::read(next()?)?; )+
                $($( let $col = <$cty as $crate::row::Cell>::read(next()?)?; )*)?
                $crate::row!(@open personal $($($per: $pty,)+)?);
                Ok($Row { $($key,)+ $($($col,)*)? $($($per,)+)? })
            }
        }
    };

    (@key_type $one:ty) => { $one };
    (@key_type $($many:ty),+) => { ($($many,)+) };
    (@key_value $one:expr) => { $one };
    (@key_value $($many:expr),+) => { ($($many,)+) };

    (@column $name:ident $type:ty, $doc:expr, $marks:expr) => {
        $crate::row::Column {
            name: $crate::row::bare(stringify!($name)),
            doc: $doc,
            kind: <$type as $crate::row::Cell>::KIND,
            nullable: <$type as $crate::row::Cell>::NULLABLE,
            marks: $marks,
            schema: |generator| generator.subschema_for::<$type>(),
            holds: |value| <$type as $crate::row::Cell>::read(value).is_ok(),
        }
    };

    (@seal $self:ident) => { Ok((String::new(), Vec::new())) };
    (@seal $self:ident $($per:ident: $pty:ty,)+) => {{
        #[derive(::serde::Serialize)]
        struct Places<'a> { $( $per: &'a $pty, )+ }
        Ok(::domain::SealingScope::to_json(&Places { $( $per: &$self.$per, )+ })?)
    }};

    (@open $personal:ident) => { let _ = $personal; };
    (@open $personal:ident $($per:ident: $pty:ty,)+) => {
        #[derive(::serde::Deserialize)]
        struct Places { $( $per: $pty, )+ }
        let Places { $( $per, )+ } = ::serde_json::from_str($personal)?;
    };
}
