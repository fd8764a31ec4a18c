//! How the cells of a column are written: chosen once, when a relation is described, by the type under all domains.
//!
//! Binary is PostgreSQL's own send format, for an allow-list of types whose format is the same in all majors and
//! everywhere (rule 19). The common ones are written here, from the value as it lies in the row; the rest of the list
//! goes through the type's send function. Everything else - arrays, enums, composite types, ranges, reg* types,
//! money, types of extensions - is text by the type's output function.

use crate::numeric;
use crate::raw;
use pgrx::pg_sys::{self, Datum, FmgrInfo, Oid};
use pgrx::varlena::{vardata_any, varsize_any_exhdr};
use std::ffi::CStr;
use walferry_wire::encode::{Sink, cell};
use walferry_wire::record::Encoding;

/// Writes one cell that is neither NULL nor unchanged.
#[derive(Debug, Clone, Copy)]
pub enum Encoder {
    /// bool and "char".
    Byte,
    /// Two bytes by value.
    Int2,
    /// Four bytes by value: int4, oid, float4, date.
    Int4,
    /// Eight bytes by value: int8, float8, time, timestamp, timestamptz.
    Int8,
    /// Sixteen bytes as they lie.
    Uuid,
    /// A fixed buffer with a C string.
    Name,
    /// A varlena whose send format is its bytes: text and its kin, json, bytea.
    Bytes,
    /// numeric.
    Numeric,
    /// The type's send function.
    Send(*mut FmgrInfo),
    /// The type's output function.
    Text(*mut FmgrInfo),
}

impl Encoder {
    /// What the relation record says of the column.
    pub fn encoding(self) -> Encoding {
        match self {
            Encoder::Text(_) => Encoding::Text,
            Encoder::Byte
            | Encoder::Int2
            | Encoder::Int4
            | Encoder::Int8
            | Encoder::Uuid
            | Encoder::Name
            | Encoder::Bytes
            | Encoder::Numeric
            | Encoder::Send(_) => Encoding::Binary,
        }
    }

    /// Writes a cell. Only inside a boundary; may leave garbage in the current memory context.
    ///
    /// # Safety
    /// `value` must be of the type that the encoder was chosen for, and no on-disk TOAST pointer.
    #[inline]
    pub unsafe fn write(self, out: &mut impl Sink, value: Datum) {
        // SAFETY: by-value types hold their value in the datum, the others a pointer to it (pg_type.typbyval).
        unsafe {
            match self {
                Encoder::Byte => cell(out, &[value.value() as u8]),
                Encoder::Int2 => cell(out, &(value.value() as u16).to_be_bytes()),
                Encoder::Int4 => cell(out, &(value.value() as u32).to_be_bytes()),
                Encoder::Int8 => cell(out, &(value.value() as u64).to_be_bytes()),
                Encoder::Uuid => cell(out, std::slice::from_raw_parts(value.cast_mut_ptr::<u8>(), 16)),
                Encoder::Name => cell(out, CStr::from_ptr(value.cast_mut_ptr()).to_bytes()),
                Encoder::Bytes => cell(out, payload(raw::pg_detoast_datum_packed(value.cast_mut_ptr()))),
                Encoder::Numeric => {
                    numeric::write(out, payload(raw::pg_detoast_datum_packed(value.cast_mut_ptr())));
                }
                Encoder::Send(function) => cell(out, payload(raw::SendFunctionCall(function, value))),
                Encoder::Text(function) => {
                    cell(out, CStr::from_ptr(raw::OutputFunctionCall(function, value)).to_bytes());
                }
            }
        }
    }
}

/// The bytes of a varlena that lies here in full.
#[inline]
unsafe fn payload<'a>(value: *const pg_sys::varlena) -> &'a [u8] {
    // SAFETY: the caller passes a detoasted varlena, which lives until the context of the row is reset.
    unsafe { std::slice::from_raw_parts(vardata_any(value).cast(), varsize_any_exhdr(value)) }
}

/// Chooses the encoder for a column of this type; `base` is the type under all domains. What a function needs is
/// allocated in `memory` and lives as long.
pub fn choose(type_oid: Oid, base: Oid, text_only: bool, memory: pg_sys::MemoryContext) -> Encoder {
    if text_only {
        return Encoder::Text(function(output_function(type_oid), memory));
    }
    match base {
        pg_sys::BOOLOID | pg_sys::CHAROID => Encoder::Byte,
        pg_sys::INT2OID => Encoder::Int2,
        pg_sys::INT4OID | pg_sys::OIDOID | pg_sys::FLOAT4OID | pg_sys::DATEOID => Encoder::Int4,
        pg_sys::INT8OID
        | pg_sys::FLOAT8OID
        | pg_sys::TIMEOID
        | pg_sys::TIMESTAMPOID
        | pg_sys::TIMESTAMPTZOID => Encoder::Int8,
        pg_sys::UUIDOID => Encoder::Uuid,
        pg_sys::NAMEOID => Encoder::Name,
        pg_sys::TEXTOID | pg_sys::VARCHAROID | pg_sys::BPCHAROID | pg_sys::JSONOID | pg_sys::BYTEAOID => {
            Encoder::Bytes
        }
        pg_sys::NUMERICOID => Encoder::Numeric,
        pg_sys::TIMETZOID
        | pg_sys::INTERVALOID
        | pg_sys::JSONBOID
        | pg_sys::INETOID
        | pg_sys::CIDROID
        | pg_sys::MACADDROID
        | pg_sys::MACADDR8OID
        | pg_sys::BITOID
        | pg_sys::VARBITOID
        | pg_sys::POINTOID
        | pg_sys::LSEGOID
        | pg_sys::BOXOID
        | pg_sys::PATHOID
        | pg_sys::POLYGONOID
        | pg_sys::LINEOID
        | pg_sys::CIRCLEOID => Encoder::Send(function(send_function(base), memory)),
        _ => Encoder::Text(function(output_function(type_oid), memory)),
    }
}

fn output_function(type_oid: Oid) -> Oid {
    let (mut function, mut varlena) = (pg_sys::InvalidOid, false);
    // SAFETY: a guarded catalog lookup.
    unsafe { pg_sys::getTypeOutputInfo(type_oid, &mut function, &mut varlena) };
    function
}

fn send_function(type_oid: Oid) -> Oid {
    let (mut function, mut varlena) = (pg_sys::InvalidOid, false);
    // SAFETY: a guarded catalog lookup.
    unsafe { pg_sys::getTypeBinaryOutputInfo(type_oid, &mut function, &mut varlena) };
    function
}

/// The function, ready to be called many times.
fn function(oid: Oid, memory: pg_sys::MemoryContext) -> *mut FmgrInfo {
    // SAFETY: guarded calls; the memory is of the size of what is written into it.
    unsafe {
        let info = pg_sys::MemoryContextAllocZero(memory, size_of::<FmgrInfo>()).cast();
        pg_sys::fmgr_info_cxt(oid, info, memory);
        info
    }
}
