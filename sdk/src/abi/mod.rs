//! The narrow waist: a layout-checked vtable of a handful of functions that carry bytes.
//!
//! Everything typed lives above it in ordinary Rust, so messages can grow without a change here.
//! Plugin authors never need this module; hosts do.

pub mod export;

use abi_stable::library::RootModule;
use abi_stable::package_version_strings;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RBox, RResult, RString, RVec};
use abi_stable::{StableAbi, sabi_trait};
use async_ffi::FfiFuture;

/// Raised when a host can no longer talk to plugins built for the number before.
pub const ABI_VERSION: u32 = 1;

/// The section of a plugin's file that holds its manifest as JSON, readable without running it.
pub const MANIFEST_SECTION: &str = ".cordboard.manifest";

/// The symbol under which a plugin exports its module.
pub const MODULE_SYMBOL: &[u8] = abi_stable::library::ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes();

/// An open channel behind the ABI.
#[sabi_trait]
pub trait RawChannel: Send + Sync + 'static {
    /// Does an operation. The answer is `Result<T, PluginFailure>`, encoded.
    fn call(&self, operation: RString, payload: RVec<u8>) -> FfiFuture<RVec<u8>>;
}

/// The host behind the ABI.
#[sabi_trait]
pub trait RawHost: Send + Sync + 'static {
    /// See [`crate::HostApi::call`].
    fn call(&self, operation: RString, payload: RVec<u8>) -> FfiFuture<RVec<u8>>;
    /// See [`crate::HostApi::ask`].
    #[sabi(last_prefix_field)]
    fn ask(&self, operation: RString, payload: RVec<u8>) -> RVec<u8>;
}

/// A channel that crossed the boundary.
pub type ChannelObject = RawChannel_TO<RBox<()>>;
/// The host as it crosses the boundary.
pub type HostObject = RawHost_TO<RBox<()>>;
/// What opening gives: a channel, or an encoded `Result<OpenError, PluginFailure>`.
pub type Opened = RResult<ChannelObject, RVec<u8>>;

/// What a plugin exports.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModuleRef)))]
#[sabi(missing_field(panic))]
pub struct PluginModule {
    /// The JSON Schema of the channel's settings.
    pub config_schema: extern "C" fn() -> RString,
    /// Opens a channel: its settings as JSON, and the host.
    #[sabi(last_prefix_field)]
    pub open: extern "C" fn(RVec<u8>, HostObject) -> FfiFuture<Opened>,
}

impl RootModule for PluginModuleRef {
    abi_stable::declare_root_module_statics! {PluginModuleRef}

    const BASE_NAME: &'static str = "cordboard_plugin";
    const NAME: &'static str = "cordboard_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}
