"""What plugins share: verbs that wait for their turn, whole files, processes watched, and the face of IHypervisor.

Nothing here knows a particular hypervisor.
"""
