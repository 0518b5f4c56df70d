"""Memory that a caller shares with a server on the same machine: how it is offered, and how it is laid out."""

from typing import Final

#: Of the call: ``process/file/nonce``, the caller's process, its descriptor of the memory, and 32 hexadecimal digits of its name.
HANDOVER_HEADER: Final = "rasterflight-handover"
#: Batches that may wait to be taken.
SLOTS: Final = 4
#: No message is longer.
SLOT_BYTES: Final = 16 << 20
#: The first byte of the memory is for the first slot, and so on: 1 while a batch waits there. Then come the slots.
SLOTS_BEGIN: Final = 4096
MEMORY_BYTES: Final = SLOTS_BEGIN + SLOTS * SLOT_BYTES


def memory_name(nonce: str) -> str:
    """The name of the memory, as for ``memfd_create``."""
    return f"rasterflight-{nonce}"


def slot_begin(slot: int) -> int:
    """Where a slot begins."""
    return SLOTS_BEGIN + slot * SLOT_BYTES
