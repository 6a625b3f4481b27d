//! Where raw tracepoints find the registers that a task saved when it entered the kernel: learned from one call of
//! trace's own, since no helper tells programs without types.

use aya::maps::Array;
use aya::programs::{ProgramError, RawTracePoint};
use aya::{Ebpf, EbpfError};

use super::load::LoadError;

/// The program that learns, the map that keeps it, and the tracepoint.
const PROGRAM: &str = "registers_lie";
const MAP: &str = "REGISTERS";
const TRACEPOINT: &str = "sys_enter";

/// What a report names them by.
pub const SAVED_REGISTERS: &str = "saved_registers";
/// What is lost as long as it is not known where they lie.
pub const LOST: &str = "what threads slept in before their first event is not known";

/// Learns it; whether that went well. Nothing stays attached.
///
/// # Errors
/// If the kernel refuses the program.
pub fn learn(ebpf: &mut Ebpf) -> Result<bool, LoadError> {
    let refused = |source: ProgramError| LoadError::Refused { hook: SAVED_REGISTERS, source };
    let program = ebpf.program_mut(PROGRAM).ok_or(LoadError::NoProgram(PROGRAM))?;
    let program: &mut RawTracePoint = program.try_into().map_err(refused)?;
    program.load().map_err(refused)?;
    program.attach(TRACEPOINT).map_err(refused)?;
    // SAFETY: no preconditions; one that the C library does not answer by itself.
    unsafe { libc::syscall(libc::SYS_getppid) };
    program.unload().map_err(refused)?;
    let map = ebpf.map(MAP).ok_or(LoadError::NoProgram(MAP))?;
    let known: Array<_, u64> = map.try_into().map_err(|e| LoadError::Object(EbpfError::MapError(e)))?;
    Ok(known.get(&0, 0).is_ok_and(|distance| distance != 0))
}
