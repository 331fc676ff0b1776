"""Images: the disks that VMs are made from, and the seeds that tell VMs who they are.

Files only: what is in here knows no hypervisor, no daemon and no VM. docs/reference/images.md tells more.
"""
