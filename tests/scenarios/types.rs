//! Every type of C4 arrives bit for bit, through inserts, updates and deletes.

use walferry_tests::{Random, Task};

/// Types, a schema for those that need one, and values that have gone wrong in systems like this.
const TYPES: &[(&str, &[&str])] = &[
    ("smallint", &["0", "-32768", "32767"]),
    ("integer", &["0", "-2147483648", "2147483647"]),
    ("bigint", &["0", "-9223372036854775808", "9223372036854775807"]),
    (
        "numeric",
        &[
            "0",
            "-0.000",
            "NaN",
            "Infinity",
            "-Infinity",
            "1e-1000",
            "1e2000",
            "12345678901234567890.0123456789000",
        ],
    ),
    ("numeric(10,3)", &["1.5", "-9999999.999", "NaN"]),
    ("real", &["0", "-0", "NaN", "Infinity", "-Infinity", "1.17549435e-38", "3.4028235e38", "0.1"]),
    (
        "double precision",
        &["0", "-0", "NaN", "Infinity", "-Infinity", "2.2250738585072014e-308", "0.1", "5e-324"],
    ),
    ("money", &["0", "-92233720368547758.08", "92233720368547758.07"]),
    ("boolean", &["true", "false"]),
    ("text", &["", " ", "NULL", "\\N", "\\\\.", "a\tb\nc\rd", "ünïcødé 😀", "{\"a\",b}", "'quoted'", "$1"]),
    ("varchar(12)", &["", "twelve chars"]),
    ("char(5)", &["", "a", "a  b"]),
    ("name", &["a name"]),
    ("\"char\"", &["", "x", "\\377"]),
    ("bytea", &["", "\\x00", "\\x00ff5c27", "\\xdeadbeef"]),
    ("date", &["0001-01-01 BC", "4713-01-01 BC", "5874897-12-31", "infinity", "-infinity", "2000-02-29"]),
    ("time", &["00:00", "24:00:00", "23:59:59.999999"]),
    ("timetz", &["00:00+15:59", "24:00:00-15:59", "12:34:56.789+05:30"]),
    ("timestamp", &["4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999", "infinity", "-infinity"]),
    ("timestamptz", &["4713-01-02 00:00:00+00 BC", "294276-12-31 00:00:00+00", "infinity", "-infinity"]),
    (
        "interval",
        &["0", "-178000000 years", "1 mon -1 day 00:00:00.000001", "3 years -2 mons +5 days -04:05:06.789"],
    ),
    ("uuid", &["00000000-0000-0000-0000-000000000000", "f47ac10b-58cc-4372-a567-0e02b2c3d479"]),
    ("json", &["{\"a\" :  1, \"a\":2}", "null", "[1e400]", "\"\\u00e9\""]),
    ("jsonb", &["{\"a\": 1, \"b\": [null, 1.50, \"x\"]}", "null", "1e400"]),
    ("jsonpath", &["$.a[*] ? (@ > 1)", "strict $"]),
    ("xml", &["<a>b &amp; c</a>", "text only", "<?xml version=\"1.0\"?><r/>"]),
    ("point", &["(1,2)", "(Infinity,-0)", "(NaN,1e-300)"]),
    ("line", &["{1,-1,0}"]),
    ("lseg", &["[(0,0),(1,1)]"]),
    ("box", &["(1,1),(0,0)"]),
    ("path", &["[(0,0),(1,1),(2,0)]", "((0,0),(1,1))"]),
    ("polygon", &["((0,0),(1,1),(2,0))"]),
    ("circle", &["<(1,2),3.5>"]),
    ("inet", &["::1", "192.168.0.1/24", "2001:db8::/32", "0.0.0.0/0"]),
    ("cidr", &["10.0.0.0/8", "::/0"]),
    ("macaddr", &["08:00:2b:01:02:03"]),
    ("macaddr8", &["08:00:2b:01:02:03:04:05"]),
    ("bit(9)", &["101010101"]),
    ("bit varying", &["", "1", "0101010101010101010101010"]),
    ("tsvector", &["", "'a':1A,2B 'fat cat':3 'it''s'"]),
    ("tsquery", &["'a' & !'b' <-> 'c':*AB"]),
    ("pg_lsn", &["0/0", "FFFFFFFF/FFFFFFFF"]),
    ("pg_snapshot", &["10:20:10,14,15"]),
    ("txid_snapshot", &["10:20:10,14,15"]),
    ("xid8", &["0", "18446744073709551615"]),
    ("xid", &["3", "4294967295"]),
    ("tid", &["(0,1)", "(4294967295,65535)"]),
    ("oid", &["0", "4294967295"]),
    ("regtype", &["integer", "lab.mood"]),
    ("regclass", &["pg_class", "lab.pair"]),
    ("int4range", &["empty", "[1,5)", "(,)", "[3,)"]),
    ("numrange", &["(1.50,2.500]", "empty"]),
    ("tstzrange", &["[\"2020-01-01 00:00:00+00\",infinity)"]),
    ("int8multirange", &["{}", "{[1,3),[5,9)}"]),
    ("datemultirange", &["{[2020-01-01,2020-02-01)}"]),
    ("integer[]", &["{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[-1:1]={7,8,9}"]),
    ("text[]", &["{}", "{\"\",NULL,\"NULL\",\"a,b\",\"\\\"q\\\"\",\"b\\\\s\"}", "{{a,b},{c,d}}"]),
    ("numeric[]", &["{1.10,NaN,-Infinity}"]),
    ("bytea[]", &["{\"\\\\x00ff\",NULL}"]),
    ("timestamptz[]", &["{infinity,\"2020-01-01 00:00:00+00\"}"]),
    ("jsonb[]", &["{\"{\\\"a\\\": 1}\",null}"]),
    ("box[]", &["{(1,1),(0,0);(2,2),(1,1)}"]),
    ("lab.mood", &["sad", "it's ok", "\"odd\" , {mood}"]),
    ("lab.mood[]", &["{sad,NULL,\"it's ok\"}", "{}"]),
    ("lab.pair", &["(1,\"a \"\"b\"\" (c), d\")", "(,)", "(5,)"]),
    ("lab.pair[]", &["{\"(1,x)\",\"(2,\\\"y,z\\\")\",NULL}"]),
    ("lab.nest", &["(\"(1,x)\",\"{\"\"(2,y)\"\"}\",sad)"]),
    ("lab.positive", &["1", "99"]),
    ("lab.positive[]", &["{1,2,NULL}"]),
    ("lab.list", &["{1,2,3}", "{}"]),
    ("lab.span", &["[1.5,2.5)", "empty"]),
    ("lab.moods", &["[sad,\"it's ok\"]"]),
    ("hstore", &["", "a=>1, \"b c\"=>NULL, \"\"=>\"=>\""]),
    ("hstore[]", &["{\"\\\"a\\\"=>\\\"1\\\"\",NULL}"]),
    ("citext", &["MixedCase"]),
    ("ltree", &["Top.Science.Astronomy", ""]),
    ("ltree[]", &["{a.b,c}"]),
];

pub const SCHEMA: &str = "
CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree;
CREATE SCHEMA lab;
CREATE TYPE lab.mood AS ENUM ('sad', 'it''s ok', '\"odd\" , {mood}');
CREATE TYPE lab.pair AS (a integer, b text);
CREATE TYPE lab.nest AS (p lab.pair, ps lab.pair[], m lab.mood);
CREATE DOMAIN lab.positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN lab.list AS integer[] CHECK (cardinality(VALUE) < 9);
CREATE TYPE lab.span AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE TYPE lab.moods AS RANGE (subtype = lab.mood);
";

fn literal(value: &str) -> String {
    format!("E'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// One table per type: a key and two columns of the type, so that every way of writing meets every type.
pub fn tables() -> String {
    let table = |(i, (name, _)): (usize, &(&str, &[&str]))| {
        format!("CREATE TABLE lab.t{i} (id integer PRIMARY KEY, v {name}, w {name});")
    };
    TYPES.iter().enumerate().map(table).collect()
}

/// Inserts of every value of every type, NULL too.
pub fn inserts() -> Vec<String> {
    let mut statements = Vec::new();
    for (i, (name, values)) in TYPES.iter().enumerate() {
        for (id, value) in values.iter().enumerate() {
            let value = literal(value);
            statements.push(format!("INSERT INTO lab.t{i} VALUES ({id}, {value}::{name}, NULL)"));
        }
        statements.push(format!("INSERT INTO lab.t{i} VALUES (100, NULL, NULL), (101, NULL, NULL)"));
    }
    statements
}

#[test]
fn rule_19_every_value_of_every_type_arrives_inserted() {
    let task = Task::new("types-insert", &format!("{SCHEMA}{}", tables()));
    task.source.execute(&inserts().join(";"));
    task.sync();
}

#[test]
fn rule_10_every_value_of_every_type_arrives_updated() {
    let task = Task::new("types-update", &format!("{SCHEMA}{}", tables()));
    task.source.execute(&inserts().join(";"));
    task.sync();
    for i in 0..TYPES.len() {
        task.source.execute(&format!("UPDATE lab.t{i} SET w = v WHERE id < 100"));
        task.source.execute(&format!(
            "UPDATE lab.t{i} SET v = (SELECT v FROM lab.t{i} WHERE id = 0) WHERE id = 100"
        ));
    }
    task.sync();
    for i in 0..TYPES.len() {
        task.source.execute(&format!(
            "UPDATE lab.t{i} SET v = NULL WHERE id = 0; DELETE FROM lab.t{i} WHERE id = 1"
        ));
    }
    task.sync();
}

/// Types that can be a key, each as the key of a table: updates and deletes address rows by it.
#[test]
fn rule_10_every_ordered_type_serves_as_a_key() {
    let unordered = [
        "json",
        "jsonpath",
        "xml",
        "point",
        "line",
        "lseg",
        "box",
        "path",
        "polygon",
        "circle",
        "tid",
        "xid",
        "box[]",
        "txid_snapshot",
        "pg_snapshot",
    ];
    let keys: Vec<_> = TYPES.iter().enumerate().filter(|(_, (name, _))| !unordered.contains(name)).collect();
    let mut schema = SCHEMA.to_owned();
    for (i, (name, _)) in &keys {
        schema.push_str(&format!("CREATE TABLE lab.k{i} (k {name} PRIMARY KEY, n integer);"));
    }
    let task = Task::new("types-keys", &schema);
    for (i, (name, values)) in &keys {
        for value in *values {
            let value = literal(value);
            // Values that are equal as keys (0 and -0) are one row.
            task.source
                .execute(&format!("INSERT INTO lab.k{i} VALUES ({value}::{name}, 1) ON CONFLICT DO NOTHING"));
        }
    }
    task.sync();
    for (i, _) in &keys {
        task.source.execute(&format!("UPDATE lab.k{i} SET n = n + 1"));
        task.source.execute(&format!("DELETE FROM lab.k{i} WHERE ctid = (SELECT min(ctid) FROM lab.k{i})"));
    }
    task.sync();
}

/// Tables without a key: the whole old row addresses.
#[test]
fn rule_10_every_type_serves_in_a_full_identity() {
    let mut schema = format!("{SCHEMA}{}", tables());
    for i in 0..TYPES.len() {
        schema.push_str(&format!(
            "ALTER TABLE lab.t{i} DROP CONSTRAINT t{i}_pkey; ALTER TABLE lab.t{i} REPLICA IDENTITY FULL;"
        ));
    }
    let task = Task::new("types-full", &schema);
    task.source.execute(&inserts().join(";"));
    for i in 0..TYPES.len() {
        task.source.execute(&format!(
            "UPDATE lab.t{i} SET w = v WHERE id <> 101; DELETE FROM lab.t{i} WHERE id IN (0, 101)"
        ));
    }
    task.sync();
}

/// A number of `1..=most` random digits.
fn digits(random: &mut Random, most: u64) -> String {
    let count = 1 + random.below(most);
    (0..count).map(|_| char::from(b'0' + random.below(10) as u8)).collect()
}

fn numeric(random: &mut Random) -> String {
    let sign = random.pick(&["", "-"]);
    let (whole, part) = (digits(random, 60), digits(random, 60));
    match random.below(12) {
        0 => "NaN".into(),
        1 => format!("{sign}Infinity"),
        2 => format!("{sign}{whole}"),
        3 => format!("{sign}0.{}{part}", "0".repeat(random.below(40) as usize)),
        4 => format!("{sign}{whole}{}", "0".repeat(random.below(60) as usize)),
        _ => format!("{sign}{whole}.{part}"),
    }
}

/// A row of values that are random bits as far as the type allows.
fn random_row(random: &mut Random) -> String {
    let double = f64::from_bits(random.number());
    let single = f32::from_bits(random.number() as u32);
    let micros = random.number() as i64 % 9_000_000_000_000_000;
    let days = random.below(5_000_000) as i64 - 1_000_000;
    let text: String = (0..random.below(30))
        .map(|_| char::from_u32(1 + random.below(0xD7FE) as u32).unwrap_or('x'))
        .collect();
    let bytes: String = (0..random.below(30)).map(|_| format!("{:02x}", random.below(256))).collect();
    [
        random.number().cast_signed().to_string(),
        numeric(random),
        format!("'{double:e}'").replace("inf", "infinity"),
        format!("'{single:e}'").replace("inf", "infinity"),
        format!("timestamp '2000-01-01' + interval '{micros} microseconds'"),
        format!("timestamptz '2000-01-01 00:00:00+00' + interval '{micros} microseconds'"),
        format!("date '2000-01-01' + {days}"),
        format!(
            "make_interval({}, {}, 0, {}, 0, 0, {})",
            random.below(2000) as i64 - 1000,
            random.below(12),
            random.below(90) as i64 - 45,
            micros as f64 / 1e9
        ),
        format!("time '00:00' + interval '{} microseconds'", random.below(86_400_000_000)),
        format!("'{}'", text.replace('\'', "''")),
        format!("'\\x{bytes}'"),
        format!("'{:032x}'", u128::from(random.number()) << 64 | u128::from(random.number())),
    ]
    .map(|value| if random.below(10) == 0 { "NULL".into() } else { quote_number(value) })
    .join(", ")
}

/// NaN and infinities of numeric are literals in quotes.
fn quote_number(value: String) -> String {
    let special = ["NaN", "Infinity", "-Infinity"].contains(&value.as_str());
    if special { format!("'{value}'") } else { value }
}

#[test]
fn rule_19_random_rows_arrive() {
    let task = Task::new(
        "types-random",
        "CREATE TABLE r (id integer PRIMARY KEY, i bigint, n numeric, d double precision, s real, t timestamp,
            z timestamptz, y date, v interval, c time, x text, b bytea, u uuid)",
    );
    let mut random = Random::new(20_261_120);
    for part in 0..20 {
        let rows = (0..200).map(|i| format!("({}, {})", part * 200 + i, random_row(&mut random)));
        task.source.execute(&format!("INSERT INTO r VALUES {}", rows.collect::<Vec<_>>().join(",")));
    }
    task.sync();
    task.source.execute("UPDATE r SET n = -n, d = -d, x = x || 'x', i = NULL WHERE id % 3 = 0");
    task.source.execute("UPDATE r SET id = -id - 1 WHERE id % 7 = 0");
    task.source.execute("DELETE FROM r WHERE id % 5 = 0");
    task.sync();
}
