"""Writes the descriptors of Envoy's external processor, with all that they import, into ext_proc.binpb.

python3 -m venv /tmp/protos && /tmp/protos/bin/pip install -r test/extproc/protos/requirements.txt
/tmp/protos/bin/python test/extproc/protos/descriptors.py && bun test/extproc/protos/generate.ts
"""

from pathlib import Path

from envoy.service.ext_proc.v3 import external_processor_pb2
from google.protobuf import descriptor_pb2


def collect(file, files):
    if file.name in files:
        return
    for imported in file.dependencies:
        collect(imported, files)
    files[file.name] = file


def name_in_json(messages):
    """Python's copy of a descriptor leaves out the names that the JSON form has."""
    for message in messages:
        for field in message.field:
            head, *rest = field.name.split("_")
            field.json_name = head + "".join(word[:1].upper() + word[1:] for word in rest)
        name_in_json(message.nested_type)


found = {}
collect(external_processor_pb2.DESCRIPTOR, found)
descriptors = descriptor_pb2.FileDescriptorSet()
for file in found.values():
    copy = descriptors.file.add()
    file.CopyToProto(copy)
    name_in_json(copy.message_type)
Path(__file__).with_name("ext_proc.binpb").write_bytes(descriptors.SerializeToString(deterministic=True))
