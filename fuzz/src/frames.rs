//! Inputs of several parts. Any bytes are some parts, so that a mutation of one leaves the others whole.

/// The parts of `data`: each is a length of two bytes, little endian, and so many bytes, or as many as there are.
pub(crate) fn split(mut data: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some((length, rest)) = data.split_first_chunk() {
        let (part, after) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
        parts.push(part);
        data = after;
    }
    parts
}

/// Bytes that have these parts.
pub(crate) fn join<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut data = Vec::new();
    for part in parts {
        let part = &part[..part.len().min(u16::MAX.into())];
        data.extend(u16::try_from(part.len()).unwrap_or(u16::MAX).to_le_bytes());
        data.extend(part);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_again_and_a_cut_one_is_what_is_left() {
        let parts: [&[u8]; 3] = [b"one", b"", b"three"];
        let joined = join(parts);
        assert_eq!(split(&joined), parts);
        assert_eq!(split(&joined[..joined.len() - 2]), [parts[0], parts[1], b"thr"]);
    }
}
