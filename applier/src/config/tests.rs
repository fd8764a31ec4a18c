//! What users write, and what they are told.

use super::*;
use secrecy::ExposeSecret;
use serde::de::value::Error as Stop;
use serde::de::{DeserializeOwned, Deserializer, Visitor};

const SMALL: &str = "[task]\nname = \"shop\"\n[source]\nurl = \"host=a\"\n[destination]\nurl = \"host=b\"\n";

fn with(more: &str) -> Result<Config> {
    Config::parse(&format!("{SMALL}{more}"))
}

fn error_of(more: &str) -> String {
    with(more).unwrap_err().to_string()
}

/// The names of a struct's fields, as serde knows them.
struct Fields<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = Stop;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(serde::de::Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn fields<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    assert!(T::deserialize(Fields(&mut fields)).is_err());
    fields
}

/// The sample with every key switched on: comments that are keys have no space after the `#`.
fn full_sample() -> String {
    let switch_on = |line: &str| match line.strip_prefix('#') {
        Some(key) if !key.starts_with(' ') => key.to_owned(),
        _ => line.to_owned(),
    };
    SAMPLE.lines().map(switch_on).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_is_valid_both_ways() {
    assert_eq!(Config::parse(SAMPLE).unwrap().slot(), "walferry_shop");
    let full = Config::parse(&full_sample()).unwrap();
    assert_eq!(full.map.len(), 1);
    assert_eq!(full.copy.windows.len(), 1);
}

#[test]
fn the_sample_has_every_key() {
    let known: toml::Table = full_sample().parse().unwrap();
    let sections = [
        ("task", fields::<Task>()),
        ("source", fields::<Source>()),
        ("destination", fields::<Destination>()),
        ("objects", fields::<Objects>()),
        ("copy", fields::<Copy>()),
        ("apply", fields::<Apply>()),
        ("finish", fields::<Finish>()),
        ("metrics", fields::<Metrics>()),
    ];
    for (section, keys) in sections {
        let table = known[section].as_table().unwrap();
        keys.iter().for_each(|key| assert!(table.contains_key(*key), "{section}.{key} is not in the sample"));
    }
    fields::<Config>().iter().for_each(|section| assert!(known.contains_key(*section), "{section}"));
}

#[test]
fn the_commented_keys_are_defaults() {
    let without = with("").unwrap();
    let json: serde_json::Value = serde_json::from_str(&without.to_string()).unwrap();
    let full: toml::Table = full_sample().parse().unwrap();
    let examples = ["include", "exclude", "rate", "windows", "pg_dump", "conflict_tables", "listen"];
    for section in ["objects", "copy", "apply", "finish", "metrics"] {
        for (key, value) in full[section].as_table().unwrap() {
            if !examples.contains(&key.as_str()) {
                assert_eq!(json[section][key], serde_json::to_value(value).unwrap(), "{section}.{key}");
            }
        }
    }
}

#[test]
fn unknown_keys_are_named_with_the_nearest() {
    assert_eq!(
        error_of("[apply]\nconflct = \"error\""),
        "line 8: apply.conflct is not a known key; the nearest known one is apply.conflict"
    );
    assert!(error_of("[aply]\n").ends_with("aply is not a known section; the nearest known one is apply"));
    assert!(error_of("[[map]]\nfrm = \"a\"\nto = \"b\"").contains("nearest known one is map[0].from"));
    assert!(error_of("[copy]\nwindows = [{form = \"22:00\"}]").contains("copy.windows[0].from"));
}

#[test]
fn wrong_values_are_named_with_what_may_stand_there() {
    let conflict = error_of("[apply]\nconflict = \"newest\"");
    assert!(
        conflict.ends_with("apply.conflict = \"newest\" is not known; it may be error, ignore, overwrite"),
        "{conflict}"
    );
    assert!(error_of("[copy]\njobs = 0").contains("copy.jobs"));
    assert!(error_of("[copy]\nrate = \"fast\"").contains("copy.rate: \"fast\" is not a rate"));
    assert!(error_of("[objects]\ninclude = [\"orders\"]").contains("objects.include[0]"));
    assert!(error_of("[[map]]\nfrom = \"a\"\nto = \"b.c\"").contains("both"));
    assert!(error_of("[metrics]\nlisten = \"9187\"").contains("metrics.listen"));
    assert!(error_of("[apply]\nconflict_tables = { \"a.b\" = \"x\" }").contains("overwrite"));
}

#[test]
fn missing_keys_are_named() {
    let error = Config::parse("[task]\nname = \"shop\"\n[source]\n").unwrap_err().to_string();
    assert!(error.contains("source.url is missing"), "{error}");
    assert!(Config::parse("").unwrap_err().to_string().contains("task is missing"));
}

#[test]
fn secrets_are_not_repeated() {
    for text in [
        "source = \"postgresql://u:hunter2@h/d\"",
        "[task]\nname = \"shop\"\n[source]\nurl = \"postgresql://u:hunter2@h/d",
        "[source]\nurl = \"x\"\npassword = \"hunter2\"",
        "[task]\nname = \"shop\"\n[source]\nslot = \"postgresql://u:hunter2@h/d\"",
    ] {
        let error = Config::parse(text).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
    let config = Config::parse(&SMALL.replace("host=a", "postgresql://u:hunter2@h/d")).unwrap();
    assert!(!format!("{config:?} {config}").contains("hunter2"));
    assert!(config.source.url.expose_secret().contains("hunter2"));
}

#[test]
fn names() {
    for name in ["abc", "1abc", "a b c", &"x".repeat(51), "größe"] {
        assert!(super::values::TaskName::try_from(name.to_owned()).is_err(), "{name}");
    }
    let config = Config::parse(&SMALL.replace("shop", "Shop-EU_1")).unwrap();
    assert_eq!(config.slot(), "walferry_shop_eu_1");
    assert!(Config::parse(&SMALL.replace("host=a\"", "host=a\"\nslot = \"A-b\"")).is_err());
}

#[test]
fn the_last_policy_that_matches_wins() {
    let text =
        "[apply]\nconflict_tables = { \"z.*\" = \"ignore\", \"a.b\" = \"ignore\", \"*.b\" = \"overwrite\" }";
    let apply = with(text).unwrap().apply;
    assert_eq!(apply.conflict_of("z", "b"), Conflict::Overwrite);
    assert_eq!(apply.conflict_of("a", "b"), Conflict::Overwrite);
    assert_eq!(apply.conflict_of("z", "c"), Conflict::Ignore);
    assert_eq!(apply.conflict_of("a", "c"), Conflict::Error);
}

#[test]
fn mappings() {
    let text =
        "[[map]]\nfrom = 'crm.\"Leads\"'\nto = \"Crm.leads_eu\"\n[[map]]\nfrom = \"sales\"\nto = \"archive\"";
    let map = with(text).unwrap().map;
    assert_eq!((map[0].table.as_deref(), map[0].to_schema.as_str()), (Some("Leads"), "crm"));
    assert_eq!((map[1].table.as_deref(), map[1].to_schema.as_str()), (None, "archive"));
}

#[test]
fn rates_and_windows() {
    let copy = with("[copy]\nrate = \"50MB/s\"").unwrap().copy;
    assert_eq!(copy.rate.unwrap().0, 50 << 20);
    let window = |from: &str, to: &str| format!("{{ from = \"{from}\", to = \"{to}\", rate = \"1kB/s\" }}");
    let windows = |list: &[String]| with(&format!("[copy]\nwindows = [{}]", list.join(", ")));
    assert!(windows(&[window("22:00", "06:00"), window("06:00", "07:00")]).is_ok());
    assert!(windows(&[window("22:00", "06:00"), window("05:00", "07:00")]).is_err());
    assert!(windows(&[window("10:00", "10:00")]).is_err());
    assert!(windows(&[window("24:00", "10:00")]).is_err());
    let four = ["01:00", "02:00", "03:00", "04:00"].map(|t| window(t, &t.replace(":00", ":30")));
    assert!(windows(&four).is_err());
}
