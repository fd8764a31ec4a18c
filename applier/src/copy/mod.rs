//! Rows, from the source's tables into the destination's, by COPY.
