"""docs/performance.md from bench/results: every figure with the command that makes it.

.venv/bin/python bench/page.py
"""

import json
from collections.abc import Iterator
from typing import Any

from machine import RESULTS, ROOT

BUSY = 0.5  # of the threads are wanted by others
FULL = 64  # the width of VGG16
ERRORS = ("independent", "in common")


def main() -> None:
    path = ROOT / "docs" / "performance.md"
    path.write_text("\n".join(page()) + "\n", encoding="utf-8")
    print(f"wrote {path.relative_to(ROOT)}")


def page() -> Iterator[str]:
    yield "# Performance"
    yield ""
    yield (
        "`make bench` runs the scripts of `bench/`, stores their results in `bench/results/*.json` and generates "
        "this page. Machines are noisy: trust ratios, which are taken within one run, more than seconds."
    )
    for name, section in SECTIONS.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            yield from section(json.loads(path.read_text()))
    yield from other()


def heading(title: str, script: str, result: dict[str, Any]) -> Iterator[str]:
    machine = result["machine"]
    yield ""
    yield f"## {title}"
    yield ""
    yield f"`{script}` on {machine['device']}, {machine['threads']} threads, torch {machine['torch']}."
    yield ""


def backbone(result: dict[str, Any]) -> Iterator[str]:
    yield from heading("The frozen part", "bench/backbone.py", result)
    yield (
        "Packed images through the features stage's own loop, in images per second, compared with the rate that a "
        "square matrix product in the same precision implies (30.96 GFLOP per image) and with torchvision's model "
        "called with the same batch, channels last."
    )
    yield ""
    yield "| precision | matrix product implies | torchvision | stage | stage / product | stage / torchvision |"
    yield "|---|---|---|---|---|---|"
    for row in result["rows"]:
        yield (
            f"| {row['precision']} | {row['matmul_images_per_s']:.1f} | {row['torchvision_images_per_s']:.1f} "
            f"| {row['stage_images_per_s']:.1f} | **{row['stage_to_matmul']:.2f}** (target 0.9) "
            f"| {row['stage_to_torchvision']:.2f} |"
        )
    yield ""
    yield (
        "The gain comes from running the convolutions on two images at a time, so that their maps stay in the "
        "processor's caches, and the linear layers on the whole batch. In fp32 the library's convolutions need "
        "fewer operations than the count above."
    )


def waiting(result: dict[str, Any]) -> Iterator[str]:
    yield from heading("Threads that wait", "bench/waiting.py", result)
    same = all(row["same_bytes"] for row in result["rows"])
    yield (
        "By default OpenMP's threads spin while they wait for each other, which takes time from whatever runs beside "
        "them and from one another. Every process of Headstart has them sleep instead (`OMP_WAIT_POLICY=passive`), "
        "unless the variable is set. Images per second, once per epoch in training; medians of "
        f"{result['rounds']} rounds in turn, {'with the same bytes' if same else '**with other bytes**'}. The load "
        f"of the machine was {result['load_before']:.1f} before. In fp32; a head's training is `classifier.6`."
    )
    yield ""
    yield "| work | busy processes beside it | spinning | sleeping | sleeping / spinning |"
    yield "|---|---|---|---|---|"
    for row in result["rows"]:
        yield (
            f"| {row['work']} | {row['busy']} | {row['spinning']:,.1f} | {row['sleeping']:,.1f} "
            f"| **{row['ratio']:.2f}** |"
        )


def pipeline(result: dict[str, Any]) -> Iterator[str]:
    yield from heading("The pipeline", "bench/pipeline.py", result)
    count, precision = result["images"], result["precision"]
    yield f"{count:,} JPEG files of 500 x 375 pixels, `classifier.6`, 10 epochs, {precision}, random weights."
    yield ""
    yield "| | measured | target |"
    yield "|---|---|---|"
    yield (
        f"| `dvc repro` from nothing | {result['cold_s']:.0f} s: **{result['cold_to_bare']:.2f}** times one bare "
        f"forward pass ({result['bare_forward_s']:.0f} s, torchvision's model) | 1.25 |"
    )
    yield (
        f"| against the article's own loop, 10 epochs | **{result['factor_at_10_epochs']:.0f}** times faster | 20 |"
    )
    yield f"| 60 epochs | {result['factor_at_60_epochs']:.0f} times faster | |"
    yield (
        f"| {result['images_changed']} images new or changed (1 %) | **{result['one_percent_s']:.1f} s** | "
        f"{result['one_percent_allowed_s']:.1f} s: 3 % of the cold compute, and 20 s |"
    )
    yield f"| `dvc repro`, nothing changed | **{result['nothing_changed_s']:.2f} s** | 1.5 s |"
    imports = (
        ", ".join(result["flow_nothing_changed_imports"]) or "no torch, torchvision or Great Expectations"
    )
    yield (
        f"| flow run against running servers, nothing changed | **{result['flow_nothing_changed_s']:.1f} s**, "
        f"imports {imports} | 5 s, no torch |"
    )
    yield ""
    yield (
        f"The article's loop takes {1000 * result['article_s_per_image']:.0f} ms per image and epoch, measured "
        "over two epochs of 300 of the images; it is linear in both. An epoch of head training takes "
        f"{result['epoch_s']:.2f} s here."
    )
    yield ""
    yield "![times faster by epochs](epochs.png)"
    yield ""
    yield "Where a run from nothing and one with 1 % new images spend their time, in seconds:"
    yield ""
    again = {stage["command"]: stage["wall_s"] for stage in result["one_percent_stages"]}
    yield "| stage | from nothing | 1 % new |"
    yield "|---|---|---|"
    for stage in result["stages"]:
        second = again.get(stage["command"])
        yield f"| {stage['command']} | {stage['wall_s']:.1f} | {'-' if second is None else f'{second:.1f}'} |"
    cold = result["cold_s"] - sum(stage["wall_s"] for stage in result["stages"])
    some = result["one_percent_s"] - sum(again.values())
    yield f"| DVC: hashing, copies to its cache | {cold:.1f} | {some:.1f} |"
    yield ""
    yield (
        "A run with few new images consists mostly of fixed costs: five processes import torch or Great Expectations "
        "(1.5 to 3 s each), one batch of features is recomputed to check the store, and the head is trained."
    )


def agreement(result: dict[str, Any]) -> Iterator[str]:
    yield from heading("bf16 and fp32 agree", "bench/agreement.py", result)
    yield "| head | test images | same prediction | accuracy fp32 | accuracy bf16 | largest difference of a probability |"
    yield "|---|---|---|---|---|---|"
    for row in result["rows"]:
        yield (
            f"| {row['head']} | {row['test_images']} | **{row['agreement']:.2%}** (target 99.5 %) "
            f"| {row['accuracy_fp32']:.4f} | {row['accuracy_bf16']:.4f} "
            f"| {row['largest_probability_difference']:.3f} |"
        )


def memory(result: dict[str, Any]) -> Iterator[str]:
    yield from heading("Peak memory", "bench/memory.py", result)
    peaks = result["peak_mb"]
    counts = list(next(iter(peaks.values())))
    yield (
        "Largest resident set in MB, by number of images; `classifier.6`, width "
        + str(result["width"])
        + ". Target: flat, under 2,500."
    )
    yield "Pages of mapped files are included."
    yield ""
    yield "| | " + " | ".join(f"{int(count):,}" for count in counts) + " |"
    yield "|---|" + "---|" * len(counts)
    for stage, by_count in peaks.items():
        yield f"| {stage} | " + " | ".join(f"{by_count[count]:,.0f}" for count in counts) + " |"


def package(result: dict[str, Any]) -> Iterator[str]:
    yield from heading("What a version costs on the tracking server", "bench/package.py", result)
    yield "| version | stored | without the trained tensors |"
    yield "|---|---|---|"
    for row in result["rows"]:
        yield (
            f"| {row['version']} | {row['stored_bytes'] / 1e6:.2f} MB "
            f"| {row['beside_the_head_bytes'] / 1e6:.2f} MB |"
        )


def orchestration(result: dict[str, Any]) -> Iterator[str]:
    yield from heading("Orchestration", "bench/orchestration.py", result)
    yield "The demo's flow from nothing, in seconds: the stages themselves, and everything around them."
    yield ""
    names = {
        "stages_s": "the six stages",
        "registration_s": "registration, including the check of the stored model",
        "dvc_s": "DVC: start, hashing, copies to its cache",
        "start_s": "Python, Prefect and its server, until the flow starts",
        "end_s": "after the flow's end",
        "rest_s": "between tasks, the MLflow run, the last `dvc status`",
        "wall_s": "total",
    }
    yield "| | " + " | ".join(row["server"] for row in result["rows"]) + " |"
    yield "|---|" + "---|" * len(result["rows"])
    for key, name in names.items():
        yield f"| {name} | " + " | ".join(f"{row[key]:.1f}" for row in result["rows"]) + " |"
    for key, name in (
        ("around_the_stages", "share outside the stages"),
        ("without_registration", "share outside the stages and registration"),
    ):
        yield f"| {name} | " + " | ".join(f"**{row[key]:.0%}**" for row in result["rows"]) + " |"

    yield ""
    yield (
        "The target for everything around the stages is 10 %. Registration is not orchestration: most of it is loading "
        "the stored model in a fresh process and checking its answers. A running server brings a run nearer to the "
        "target, because starting Prefect's temporary server takes longer than all of DVC. With longer training the "
        "share shrinks; apart from DVC's copies, these seconds do not grow with the data."
    )


def serving(result: dict[str, Any]) -> Iterator[str]:
    yield from heading("Answers of a registered version", "bench/serving.py", result)
    yield (
        f"`classifier.6` on a VGG16 of width {result['width']}, {result['precision']}, random weights; requests "
        f"one after the other, each with its images ({result['image']}) as bytes. Over HTTP is "
        f"`{result.get('server', 'mlflow models serve')}` with images in base64; in process is `mlflow.pyfunc.load_model`. Latency is per "
        "request; the ratio compares the medians, HTTP to in process."
    )
    load, threads = result["load_at_start"], result["machine"]["threads"]
    if load > BUSY * threads:
        yield ""
        yield (
            f"**The machine was busy**: {load:.1f} processes competed for its {threads} threads before the start. A quiet "
            "one is faster. The two ways were measured one after the other, so their ratio also shows how that load "
            "changed; a ratio below 1 is an artefact of it."
        )
    yield ""
    yield (
        "| images per request | in process: images per second | median | 95 % | over HTTP: images per second | median "
        "| 95 % | HTTP / in process |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    rows = {(row["way"], row["batch"]): row for row in result["rows"]}
    for batch in sorted({batch for _, batch in rows}):
        within, http = rows["in process", batch], rows["over HTTP", batch]
        cells = [*_speed(within), *_speed(http), f"{http['median_s'] / within['median_s']:.2f}"]
        yield f"| {batch} | {' | '.join(cells)} |"
    score = result["score"]
    further = (score["images"] - 1) / (score["wall_s"] - score["of_one_image_s"])
    best = max(row["images_per_s"] for (way, _), row in rows.items() if way == "in process")
    yield ""
    yield (
        f"`headstart score` takes {score['wall_s']:.1f} s for {score['images']} files, "
        f"{score['of_one_image_s']:.1f} s for one, which is mostly start-up: **{further:.1f}** further images per second, "
        f"{further / best:.2f} times the best rate in process, where the images are in memory already."
    )


def serving_load(result: dict[str, Any]) -> Iterator[str]:
    yield from heading("Servers under load", "bench/serving_load.py", result)
    yield (
        f"Clients that each send one image ({result['image']}) and ask again once they are answered; fp32, random weights, "
        "`classifier.6`. The servers run side by side and take turns, each with the machine to itself; the clients run on "
        "the same machine. `FastAPI without batches` is `bench/plain_server.py`. Seconds of processor time are the server's."
    )
    if result["load_at_start"] > BUSY * result["machine"]["threads"]:
        yield ""
        yield f"**The machine was busy**: its load was {result['load_at_start']:.1f} before the start. Trust ratios alone."
    for width, found in result["widths"].items():
        name = (
            "VGG16"
            if int(width) == FULL
            else f"a network of width {width}, which shows what is not the network"
        )
        yield ""
        yield f"With {name}:"
        yield ""
        yield "| way | clients | images per second | 50 % | 95 % | 99 % | CPU per image |"
        yield "|---|---|---|---|---|---|---|"
        for row in found["rows"]:
            times = [f"{1000 * row[key]:,.0f} ms" for key in ("p50_s", "p95_s", "p99_s")]
            cells = [f"**{row['images_per_s']:.1f}**", *times, f"{1000 * row['cpu_s_per_image']:,.0f} ms"]
            yield f"| {row['way']} | {row['clients']} | {' | '.join(cells)} |"
        yield ""
        sizes = [f"{way} {mb:,.0f} and {found['peak_mb'][way]:,.0f}" for way, mb in found["rest_mb"].items()]
        yield f"Memory at rest and at most, in MB: {'; '.join(sizes)}."


def serving_memory(result: dict[str, Any]) -> Iterator[str]:
    yield from heading("Memory of the model server", "bench/serving_memory.py", result)
    yield (
        f"Resident set in MB by number of requests, {result['clients']} clients at once with {result['images']} image "
        f"per request, a network of width {result['width']}. Target: flat after the first thousand."
    )
    yield ""
    resident = result["resident_mb"]
    yield "| " + " | ".join(f"{int(count):,}" for count in resident) + " |"
    yield "|---" * len(resident) + "|"
    yield "| " + " | ".join(f"{value:,.0f}" for value in resident.values()) + " |"


def _speed(row: dict[str, Any]) -> list[str]:
    milliseconds = [f"{1000 * row[key]:,.0f} ms" for key in ("median_s", "p95_s")]
    return [f"**{row['images_per_s']:.1f}**", *milliseconds]


def intervals(result: dict[str, Any]) -> Iterator[str]:
    yield from heading("Intervals of the test metrics", "bench/intervals.py", result)
    yield (
        f"Samples whose true figures are known: how often intervals of {result['confidence']:.0%} cover them, and how "
        f"wide they are on average. Beside ours stand percentiles of {result['resamples']} bootstrap resamples. Ratio is "
        "that of the largest class to the smallest."
    )
    yield ""
    yield "| classes | images | ratio | metric | true | ours | width | bootstrap | width |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in result["rows"]:
        cells = []
        for method in ("ours", "bootstrap"):
            low, high = row[method]["interval"]
            cells += [
                f"**{row[method]['covered']:.1%}** ({low:.0%} to {high:.0%})",
                f"{row[method]['width']:.3f}",
            ]
        yield (
            f"| {row['classes']} | {row['images']} | {row['ratio']} | {row['metric'].replace('_', ' ')} "
            f"| {row['true']:.4f} | {' | '.join(cells)} |"
        )


def paired(result: dict[str, Any]) -> Iterator[str]:
    yield from heading("The gate's comparison with the champion", "bench/paired.py", result)
    yield (
        f"Pairs of models on the same images, margin {result['margin']:g}, interval of {result['confidence']:.0%}: a "
        f"candidate that is worse by the margin should pass in at most {(1 - result['confidence']) / 2:.0%} of draws."
    )
    yield ""
    yield "| candidate | images | passes the gate's score interval | would pass the percentile bootstrap |"
    yield "|---|---|---|---|"
    for row in result["rows"]:
        cells = []
        for name in ("score", "bootstrap"):
            low, high = row[name]["interval"]
            cells.append(f"**{row[name]['rate']:.1%}** ({low:.1%} to {high:.1%})")
        yield f"| {row['scene']} | {row['images']} | {' | '.join(cells)} |"
    yield from class_checks(result)


def class_checks(result: dict[str, Any]) -> Iterator[str]:
    most = (1 - result["confidence"]) / 2
    fall = 2 * result["class_margin"]
    yield ""
    yield (
        f"Class by class, margin {result['class_margin']:g}: two models that are right in 90 of 100 images should fail in "
        f"at most {most:.0%} of draws. In the other columns one class fell by {fall:g}. Errors are independent, or most "
        "are common to both models, as between two heads on the same features. In brackets: the draws in which the "
        "measured change alone is beyond the margin. Classes of fewer than `gate.min_class_images` (10) are not judged."
    )
    yield ""
    yield (
        "| classes | images of each | as good, errors independent: fails | in common: fails "
        "| a class fell, errors independent: found | in common: found |"
    )
    yield "|---|---|---|---|---|---|"
    for row in result["classes"]:
        scenes = [
            row[f"{scene}, errors {errors}"] for scene in ("as good", "a class fell") for errors in ERRORS
        ]
        yield f"| {row['classes']:,} | {row['images']} | {' | '.join(map(_class_cell, scenes))} |"


def _class_cell(scene: dict[str, Any]) -> str:
    if scene["inconclusive"]["rate"] == 1:
        return "inconclusive"
    low, high = scene["failed"]["interval"]
    return f"**{scene['failed']['rate']:.1%}** ({low:.1%} to {high:.1%}) [{scene['measured']['rate']:.0%}]"


def inspection(result: dict[str, Any]) -> Iterator[str]:
    yield from heading("The stage inspect", "bench/inspection.py --data FOLDER", result)
    yield "Photographs, repeated with shifts, and drawn features; each size in a process of its own."
    yield ""
    yield "| images | seconds | CPU seconds | memory at most |"
    yield "|---|---|---|---|"
    for row in result["rows"]:
        yield (
            f"| {row['images']:,} | {row['seconds']:.0f} | {row['cpu_seconds']:.0f} | {row['most_mb']:,.0f} MB |"
        )


def growth(result: dict[str, Any]) -> Iterator[str]:
    yield from heading("Growth", "bench/growth.py", result)
    yield (
        f"Distinct JPEG files of {result['side']} pixels, a network of width {result['width']}, a linear head. CPU "
        "seconds of each stage from nothing, run again with nothing new, and with 1 % new images; `-` did not run. "
        "Memory is the largest resident set, megabytes are those at rest after all stages."
    )
    rows = result["rows"]
    for count in dict.fromkeys(row["images"] for row in rows):
        own = [row for row in rows if row["images"] == count]
        yield ""
        yield f"| {count:,} images | from nothing | nothing new | 1 % new | memory at most |"
        yield "|---|---|---|---|---|"
        for stage in dict.fromkeys(row["stage"] for row in own):
            found = [row for row in own if row["stage"] == stage]
            cells = [f"{row['cpu_s']:.1f}" if row["peak_mb"] else "-" for row in found]
            yield f"| {stage} | {' | '.join(cells)} | {max(row['peak_mb'] for row in found):,.0f} MB |"
        ends = [[row for row in own if row["phase"] == phase] for phase in ("cold", "again", "one_percent")]
        for name, key in (("workspace", "workspace_mb"), ("DVC's cache", "cache_mb"), ("store", "store_mb")):
            yield f"| {name}, MB | {' | '.join(f'{phase[-1][key]:,.0f}' for phase in ends)} | |"
        dvc = [f"{sum(row['dvc_cpu_s'] for row in phase):.1f}" for phase in ends]
        yield f"| DVC, one call per stage | {' | '.join(dvc)} | |"


def drift(result: dict[str, Any]) -> Iterator[str]:
    script = "bench/drift.py" if result["width"] == 64 else f"bench/drift.py --width {result['width']}"
    yield from heading("Monitoring", script, result)
    yield (
        f"Images drawn like the sample that the head never saw: {result['train']} play the training images, "
        f"{result['held_out']} the held-out ones and others the new ones, dealt anew in each draw from a pool of "
        f"{result['pool']}; random weights of width {result['width']}, pooled head, {result['permutations']:,} "
        "permutations. Because draws share the pool, the intervals (95 %) are slightly too narrow."
    )
    yield ""
    yield "| without drift: new images | alpha | draws with an alarm | rate |"
    yield "|---|---|---|---|"
    for row in result["without_drift"]:
        low, high = row["interval"]
        yield (
            f"| {row['new_images']} | {row['alpha']:g} | {row['alarms']} of {row['draws']:,} "
            f"| **{row['rate']:.2%}** ({low:.2%} to {high:.2%}) |"
        )
    yield ""
    yield f"Draws in which a known drift is found, at alpha {result['alpha']:g}:"
    yield ""
    counts = [row["new_images"] for row in result["with_drift"][0]["rows"]]
    yield "| drift | " + " | ".join(f"{count} images" for count in counts) + " | found by, most often |"
    yield "|---|" + "---|" * (len(counts) + 1)
    for each in result["with_drift"]:
        rates = [
            f"{row['rate']:.0%} ({row['interval'][0]:.0%} to {row['interval'][1]:.0%})"
            for row in each["rows"]
        ]
        by_check = each["rows"][-1]["by_check"]
        best = sorted(by_check, key=lambda name: (-by_check[name], name))[:3]
        found = ", ".join(f"{name} {by_check[name]:.0%}" for name in best) or "-"
        yield f"| {each['drift']} | " + " | ".join(rates) + f" | {found} |"
    yield ""
    yield (
        "Blur is a Gaussian of 1.5 pixels; darkness is three quarters of the light; another camera has 3/4 of the "
        "resolution, a warmer white balance, vignetting and JPEG of quality 60; a new class has one to three drilled "
        "holes (`tests/support/drifted.py`)."
    )


def other() -> Iterator[str]:
    yield ""
    yield "## Elsewhere"
    yield ""
    yield "- `bench/trials.py`: a sweep compared with a single training ([training.md](training.md#sweeps))."
    yield "- `bench/cut_proof.py`: the cut changes nothing ([cut.md](cut.md))."
    yield "- `bench/shapes.py`: draws up to 100 classes that are easily confused, to judge the report by."
    gpu = RESULTS / "gpu.json"
    if not gpu.exists():
        yield "- `bench/gpu.py`: the same on an accelerator; no results are stored yet."
        return
    result = json.loads(gpu.read_text())
    yield f"- `bench/gpu.py` on {result['machine']['device']}: `bench/results/gpu.json`."


SECTIONS = {
    "backbone": backbone,
    "waiting": waiting,
    "pipeline": pipeline,
    "agreement": agreement,
    "memory": memory,
    "growth": growth,
    "package": package,
    "orchestration": orchestration,
    "serving": serving,
    "intervals": intervals,
    "serving_load": serving_load,
    "serving_memory": serving_memory,
    "paired": paired,
    "drift": drift,
    "inspection": inspection,
}


if __name__ == "__main__":
    main()
