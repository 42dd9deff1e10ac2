//! A library's manifest, read from its ELF section without running any of it.
//!
//! `dlopen` of a truncated file kills the process with SIGBUS, so the bounds of every segment are
//! checked against the file's length first.

use cordboard_sdk::ManifestInfo;
use cordboard_sdk::abi::{ABI_VERSION, MANIFEST_SECTION};
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectKind, ObjectSection};

/// Why a file isn't a plugin that this host can load.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not a shared library at all.
    #[error(
        "it isn't a shared library for this machine ({0}); a plugin is the .so that `cargo build` makes of a cdylib crate"
    )]
    NotALibrary(String),
    /// Cut off.
    #[error(
        "it is truncated: a segment reaches to byte {end}, the file has {len}; copy or build it again"
    )]
    Truncated {
        /// Where the segment ends.
        end: u64,
        /// The file's length.
        len: u64,
    },
    /// A library, but no plugin.
    #[error(
        "it is a library but not a Cordboard plugin: it has no section {MANIFEST_SECTION}; does it end in `cordboard_sdk::export_channel!(...)` or `export_strategy!(...)`?"
    )]
    NotAPlugin,
    /// The manifest can't be read.
    #[error("its manifest can't be read: {0}")]
    Unreadable(String),
    /// Built for another host.
    #[error(
        "it was built for plugin ABI {found}, this host speaks {ABI_VERSION}; build it with an SDK of the host's version"
    )]
    OtherAbi {
        /// Its ABI.
        found: u32,
    },
}

/// Reads and checks the manifest in a library's bytes.
///
/// # Errors
/// [`ManifestError`] says what the file is instead.
pub fn read(bytes: &[u8]) -> Result<ManifestInfo, ManifestError> {
    let not_a_library = |error: object::Error| ManifestError::NotALibrary(error.to_string());
    let header = FileHeader64::<Endianness>::parse(bytes).map_err(not_a_library)?;
    let endian = header.endian().map_err(not_a_library)?;
    let segments = header.program_headers(endian, bytes).map_err(not_a_library)?;
    let len = bytes.len() as u64;
    for segment in segments.iter().filter(|segment| segment.p_type(endian) == PT_LOAD) {
        let end = segment.p_offset(endian).saturating_add(segment.p_filesz(endian));
        if end > len {
            return Err(ManifestError::Truncated { end, len });
        }
    }
    // The section table stands at the end, so that a file cut anywhere loses it.
    let table_end = header
        .e_shoff(endian)
        .saturating_add(u64::from(header.e_shentsize(endian)) * u64::from(header.e_shnum(endian)));
    if table_end > len {
        return Err(ManifestError::Truncated { end: table_end, len });
    }
    let file = ElfFile64::<Endianness>::parse(bytes).map_err(not_a_library)?;
    if file.kind() != ObjectKind::Dynamic {
        return Err(ManifestError::NotALibrary(format!("{:?}", file.kind()).to_lowercase()));
    }
    if file.architecture() != native() {
        return Err(ManifestError::NotALibrary(format!("built for {:?}", file.architecture())));
    }
    let section = file.section_by_name(MANIFEST_SECTION).ok_or(ManifestError::NotAPlugin)?;
    let data = section.data().map_err(|e| ManifestError::Unreadable(e.to_string()))?;
    parse(data)
}

fn parse(data: &[u8]) -> Result<ManifestInfo, ManifestError> {
    let unreadable = |error: serde_json::Error| ManifestError::Unreadable(error.to_string());
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let value: serde_json::Value = serde_json::from_slice(&data[..end]).map_err(unreadable)?;
    // The ABI first: a manifest of another version may have other fields.
    let found = value["abi"].as_u64().unwrap_or(0) as u32;
    if found != ABI_VERSION {
        return Err(ManifestError::OtherAbi { found });
    }
    serde_json::from_value(value).map_err(unreadable)
}

fn native() -> object::Architecture {
    if cfg!(target_arch = "aarch64") {
        object::Architecture::Aarch64
    } else {
        object::Architecture::X86_64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // PLUG-03
    #[test]
    fn what_is_no_library_is_named() {
        assert!(matches!(read(b"hello, I am a text file"), Err(ManifestError::NotALibrary(_))));
        assert!(matches!(read(b""), Err(ManifestError::NotALibrary(_))));
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(read(&own), Err(ManifestError::NotAPlugin));
        for cut in [own.len() / 2, own.len() - 1, 100] {
            let error = read(&own[..cut]).unwrap_err();
            let named =
                matches!(error, ManifestError::Truncated { .. } | ManifestError::NotALibrary(_));
            assert!(named, "{error}");
        }
    }
}
