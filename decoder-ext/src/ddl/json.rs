//! JSON texts in the database's encoding. Bytes beyond ASCII stand for themselves: in every encoding that a database may
//! have they are no part of a character of ASCII.

/// Appends a string.
pub fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            0..0x20 => out.extend(format!("\\u{byte:04x}").bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

/// An object of members that are JSON already.
pub fn object<'a>(members: impl IntoIterator<Item = (&'a [u8], Vec<u8>)>) -> Vec<u8> {
    let mut out = vec![b'{'];
    for (name, value) in members {
        if out.len() > 1 {
            out.push(b',');
        }
        string(&mut out, name);
        out.push(b':');
        out.extend(value);
    }
    out.push(b'}');
    out
}

/// A string.
pub fn text(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    string(&mut out, text);
    out
}

/// An array of strings.
pub fn texts<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = vec![b'['];
    for item in items {
        if out.len() > 1 {
            out.push(b',');
        }
        string(&mut out, item);
    }
    out.push(b']');
    out
}

/// Two arrays as one.
pub fn joined(first: &[u8], second: &[u8]) -> Vec<u8> {
    let inner = |array: &[u8]| array.trim_ascii().get(1..array.trim_ascii().len() - 1).map(<[u8]>::to_vec);
    let parts: Vec<_> =
        [first, second].into_iter().filter_map(inner).filter(|part| !part.is_empty()).collect();
    [b"[".as_slice(), &parts.join(&b','), b"]"].concat()
}
