"""Metadata of the four packages; settings of the tools stand in pyproject.toml."""

from pathlib import Path

from setuptools import find_namespace_packages, setup

HERE = Path(__file__).parent

# Why each of these is here: docs/decisions/dependencies.md
REQUIRES = [
    "twisted>=22.4",
    "zope.interface>=5.5",
    "stomper>=0.4.3",
    "netifaces-plus>=0.12.5",
    "lxml>=4.9.2",
    "virtualbox>=2.1.1",
    "cryptography>=47.0",
    "platformdirs>=4.0",
    "pycdlib>=1.14",
]

TEST_REQUIRES = [
    "pytest>=8.0",
    "hypothesis>=6.100",
    "stomp.py>=8.1",
    "psutil>=5.9",
    "ruff>=0.15",
    "mypy==2.4.1",
    "mypy-zope==1.0.17",
    "lxml-stubs>=0.5.1",
]

setup(
    name="vmcontroller",
    version="1.0.0.dev0",
    description="Run BOINC jobs inside virtual machines, with any hypervisor",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="BSD-2-Clause",
    python_requires=">=3.11",
    packages=find_namespace_packages(
        include=[
            "vmcontroller",
            "vmcontroller.*",
            "vmcontroller_guest",
            "vmcontroller_guest.*",
            "wrapper",
            "wrapper.*",
            "job_xml",
            "job_xml.*",
        ]
    ),
    include_package_data=True,
    package_data={"vmcontroller.images.debian": ["guest/*"], "job_xml": ["schema/*.xsd", "examples/**/*"]},
    install_requires=REQUIRES,
    extras_require={"test": TEST_REQUIRES, "libvirt": ["libvirt-python>=9.0"]},
    entry_points={
        "console_scripts": [
            "vmcontroller = vmcontroller.__main__:main",
            "vmcontroller-guest = vmcontroller_guest.__main__:main",
            "vmwrapper = wrapper.__main__:main",
            "job-xml = job_xml.__main__:main",
        ]
    },
    classifiers=[
        "Framework :: Twisted",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: System :: Distributed Computing",
    ],
)
