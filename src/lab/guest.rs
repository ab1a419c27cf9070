//! The smallest machine there is: a processor and one page of memory, made by the kernel's hypervisor, KVM.
//!
//! What a hypervisor does, in one file. It asks `/dev/kvm` for a machine, lends it memory, points its processor
//! at a program and lets it run. The program runs on the real processor until it touches a device; then the
//! processor comes back here, and this file plays the device (a serial port). No operating system is in there:
//! the program begins as a PC's first instruction does, in 16-bit mode.
//! Source of the numbers: Linux `Documentation/virt/kvm/api.rst`; the serial port is a PC's COM1.

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{Kvm, VcpuExit};

use crate::error::{Error, Result};

/// Where the memory lies in the guest's eyes, and where its program begins.
const ADDRESS: u64 = 0x1000;
/// One page, in bytes.
const PAGE: usize = 4096;
/// A PC's first serial port.
const SERIAL: u16 = 0x3f8;
/// What the guest says.
const GREETING: &[u8] = b"hello from a machine of its own\n";
/// The guest's program: it sends each byte of the text behind it to the serial port, up to a zero, and halts.
const PROGRAM: [u8; 16] = [
    0xbe, 0x10, 0x10, // mov si, 0x1010    the text
    0xba, 0xf8, 0x03, // mov dx, 0x3f8     the serial port
    0xac, // next: lodsb
    0x84, 0xc0, // test al, al
    0x74, 0x03, // jz end
    0xee, // out dx, al
    0xeb, 0xf8, // jmp next
    0xf4, // end: hlt
    0x90, // nop
];

/// Makes a machine, lets it say its greeting, and takes it away.
///
/// # Errors
/// When there is no hypervisor, or it may not be used: which, and the command that mends it.
pub fn run() -> Result<()> {
    let hypervisor = Kvm::new().map_err(|fault| refused("open /dev/kvm", fault))?;
    // Declared before the machine, so it is given back after it.
    let mut memory = vec![0_u8; 2 * PAGE];
    let start = memory.as_ptr().align_offset(PAGE);
    memory[start..start + PROGRAM.len()].copy_from_slice(&PROGRAM);
    memory[start + PROGRAM.len()..][..GREETING.len()].copy_from_slice(GREETING);

    let machine = hypervisor.create_vm().map_err(|fault| refused("make a machine", fault))?;
    let region = kvm_userspace_memory_region {
        slot: 0,
        flags: 0,
        guest_phys_addr: ADDRESS,
        memory_size: PAGE as u64,
        userspace_addr: memory[start..].as_ptr() as u64,
    };
    #[allow(unsafe_code, reason = "the kernel is told an address: nothing else can lend a guest its memory")]
    // SAFETY: the page lies inside `memory`, which is neither moved nor freed nor read before `machine` is gone.
    unsafe { machine.set_user_memory_region(region) }.map_err(|fault| refused("lend it memory", fault))?;

    let mut processor = machine.create_vcpu(0).map_err(|fault| refused("make a processor", fault))?;
    let mut segments = processor.get_sregs().map_err(|fault| refused("read its registers", fault))?;
    segments.cs.base = 0;
    segments.cs.selector = 0;
    processor.set_sregs(&segments).map_err(|fault| refused("set its registers", fault))?;
    let mut registers = processor.get_regs().map_err(|fault| refused("read its registers", fault))?;
    registers.rip = ADDRESS;
    registers.rflags = 2; // The one bit that is always set.
    processor.set_regs(&registers).map_err(|fault| refused("set its registers", fault))?;

    let mut said = Vec::new();
    // Each round is one return of the processor; a guest that says too much is broken.
    while said.len() <= GREETING.len() {
        match processor.run().map_err(|fault| refused("run it", fault))? {
            VcpuExit::IoOut(SERIAL, bytes) => said.extend_from_slice(bytes),
            VcpuExit::Hlt => break,
            other => return Err(broken(&format!("its processor stopped with {other:?}"))),
        }
    }
    match said == GREETING {
        true => Ok(()),
        false => Err(broken(&format!("it said {:?}", String::from_utf8_lossy(&said)))),
    }
}

fn broken(why: &str) -> Error {
    Error::new("the guest did not do what it should", why)
}

fn refused(what: &str, fault: kvm_ioctls::Error) -> Error {
    let fault = std::io::Error::from_raw_os_error(fault.errno());
    let error = Error::new(format!("the hypervisor refused to {what}"), fault.to_string());
    match fault.kind() {
        std::io::ErrorKind::PermissionDenied => error.hint("sudo usermod -aG kvm $USER, then log in anew"),
        std::io::ErrorKind::NotFound => error
            .hint("sudo modprobe kvm_intel || sudo modprobe kvm_amd")
            .hint("inside a virtual machine: turn on nested virtualisation for it, or try this on the host"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_s_text_begins_where_its_program_looks_for_it() {
        let text = u64::from(u16::from_le_bytes([PROGRAM[1], PROGRAM[2]]));
        assert_eq!(text, ADDRESS + PROGRAM.len() as u64);
        assert_eq!(u16::from_le_bytes([PROGRAM[4], PROGRAM[5]]), SERIAL);
        assert!(PROGRAM.len() + GREETING.len() < PAGE, "and a zero ends it");
    }

    #[test]
    fn a_machine_says_its_greeting_or_says_what_is_missing() {
        match run() {
            Ok(()) => {}
            Err(error) => {
                assert!(error.what.starts_with("the hypervisor refused to open"), "{error}");
                println!("skipped: needs /dev/kvm: {error}");
            }
        }
    }
}
