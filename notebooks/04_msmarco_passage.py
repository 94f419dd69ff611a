# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # MS MARCO passage ranking
#
# Takes a quarter of a minute and 1 MB of disk by default, because every step runs on a stand-in: sixteen passages and eight
# queries in the files and formats of MS MARCO. Each step says what to expect of the real collection. The one step that runs on
# the real collection is marked, and is skipped unless you ask for it and there is a network.
#
# For the real collection there are two ways. Anserini's encoded corpora are downloads of some gigabytes and need no model
# (section 9 does this with one command). Encoding it yourself is a download of 1 GB; on two CPU
# cores, at the rate of the embedded model on abstracts of CACM (docs/performance.md), the 8,841,823 passages take about 40 hours
# in bfloat16 and 90 in float32, and several times as long with a model of BERT's size. Encoding resumes after a kill, and
# `--shard 2/4` divides it among machines.

# %% [markdown]
# ## 1. The figures to reproduce
#
# The catalogue of `splade-lucene reproduce` has the figures that Anserini publishes for corpora and queries that it encoded, each
# with its source.

# %%
import contextlib
import io
import os
import shlex
import tempfile
from pathlib import Path

from splade_lucene.cli.app import app
from splade_lucene.reproduction import read_catalogue

work = tempfile.TemporaryDirectory()
os.chdir(work.name)  # relative names below


def splade_lucene(*commands):
    """Runs commands in this process, which saves starting Python and Java for each."""
    shown = []
    for command in commands:
        printed, notes = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(notes):
            code = app(shlex.split(command), standalone_mode=False)
        assert not code, notes.getvalue()
        shown.append(f"$ splade-lucene {command}\n{printed.getvalue()}")
    print("".join(shown))


entries = [
    entry for entry in read_catalogue().values()
    if entry.collection == "msmarco-v1-passage" and entry.system.method != "encode"  # Anserini's figures, not the paper's
]  # fmt: skip
measures = ("RR@10", "R@100", "R@1000", "AP@1000")
rows = [f"{'entry':50}{'download':>10}" + "".join(f"{measure:>9}" for measure in measures)]
for entry in entries:
    figures = "".join(f"{entry.system.published[measure]:>9.4f}" for measure in measures)
    rows.append(f"{entry.name:50}{entry.system.corpus.published_size:>10}{figures}")
rows.append(f"{entries[0].documents:,} documents, {entries[0].judged:,} judged queries")
rows.append(f"source of the last: {entries[-1].system.source}")
print("\n".join(rows))

# %% [markdown]
# `reproduce --show` prints an entry as commands: ours, Anserini's and Pyserini's.

# %%
splade_lucene("reproduce --show msmarco-v1-passage.splade-v3")

# %% [markdown]
# ## 2. The files
#
# The real ones are in `collectionandqueries.tar.gz` (1 GB, MD5 `31644046b18952c1386cd4564ba2ae69`;
# https://msmarco.z22.web.core.windows.net/msmarcoranking/collectionandqueries.tar.gz).
#
# | file | a line | lines |
# |---|---|---|
# | `collection.tsv` | docid, tab, passage | 8,841,823 |
# | `queries.dev.small.tsv` | qid, tab, query | 6,980 |
# | `qrels.dev.small.tsv` | qid, 0, docid, 1, between tabs | 7,437 |

# %%
Path("collection.tsv").write_text("""\
0\tThe skin is the largest organ of the human body. An adult's skin covers about two square metres.
1\tThe liver is the largest organ inside the body and weighs about one and a half kilograms.
2\tA cup of black coffee has about two calories; milk and sugar add many more.
3\tGreen tea contains caffeine, though less than coffee does.
4\tMount Everest, on the border of Nepal and China, rises 8,849 metres above the sea.
5\tThe deepest point of the ocean is the Challenger Deep in the Mariana Trench.
6\tTo boil an egg until it is hard, keep it in boiling water for nine to twelve minutes.
7\tA soft egg needs four to six minutes in boiling water.
8\tInflation is a general rise of prices, so that money buys less than before.
9\tA central bank raises interest rates to slow down inflation.
10\tPhotosynthesis in plants turns light, water and carbon dioxide into sugar and oxygen.
11\tRespiration is the reverse: cells burn sugar with oxygen and set carbon dioxide free.
12\tThe Great Wall of China was built over many centuries to keep out raiders from the north.
13\tHadrian's Wall marked the northern frontier of Roman Britain.
14\tA laptop battery lasts longer when it is not kept fully charged all the time.
15\tLithium batteries lose capacity with heat and with every charge.
""")
Path("queries.dev.small.tsv").write_text("""\
1048585\twhat is the biggest organ in the body
2\thow many calories in a cup of coffee
524332\thow high is mount everest
1048642\thow long to hard boil eggs
1102400\twhy do prices go up
300674\thow do plants make food
300675\tdo plants breathe oxygen
1102401\twhy do batteries wear out
""")
Path("qrels.dev.small.tsv").write_text(
    "1048585\t0\t0\t1\n2\t0\t2\t1\n524332\t0\t4\t1\n1048642\t0\t6\t1\n1102400\t0\t8\t1\n1102400\t0\t9\t1\n300674\t0\t10\t1\n"
    "300675\t0\t11\t1\n1102401\t0\t15\t1\n"
)
lines = {name: len(Path(name).read_text().splitlines()) for name in ("collection.tsv", "queries.dev.small.tsv", "qrels.dev.small.tsv")}
lines

# %% [markdown]
# ## 3. Encode
#
# `collection.tsv` is read as it is. With a real model, add `--model naver/splade-v3 --quantizer pyserini`, or the folder of a
# checkpoint; `splade-lucene models` lists models with the rule that fits each.
#
# To use what Anserini encoded, skip this step: unpack its archive and give the folder as `--input` below.

# %%
splade_lucene("encode --corpus collection.tsv --output msmarco-passage --dtype float32")
parts = sorted(path.name for path in Path("msmarco-passage").glob("*.jsonl"))
parts, sum(1 for part in parts for line in Path("msmarco-passage", part).open())

# %% [markdown]
# ## 4. Index
#
# On the real collection the command must report 8,841,823 documents. Anserini's command for the same index:
#
#     bin/run.sh io.anserini.index.IndexCollection -threads 16 -collection JsonVectorCollection -input msmarco-passage \
#       -generator DefaultLuceneDocumentGenerator -index index -impact -pretokenized

# %%
splade_lucene("index --input msmarco-passage --index index", "stats --index index")

# %% [markdown]
# ## 5. Encode the queries
#
# A search encodes its queries by itself. Written to a file in the form of Anserini's encoded topics (each term repeated impact
# times), they can be searched by other programs and without the model. Anserini's own files are read the same way.

# %%
splade_lucene("encode-queries --topics queries.dev.small.tsv --output queries.dev.small.encoded.tsv")
Path("queries.dev.small.encoded.tsv").read_text()[:76]

# %% [markdown]
# ## 6. Search
#
# 1,000 hits for each of 6,980 queries make up to 6,980,000 lines. The leaderboard's form of a run has qid, docid and rank;
# `search --output-format msmarco` writes it directly, and `run convert` converts an existing run.

# %%
splade_lucene(
    "search --index index --topics queries.dev.small.encoded.tsv --encoded --output run.trec --hits 1000 --threads 2",
    "run convert --run run.trec --output-format msmarco --output run.msmarco.tsv",
    "run validate --run run.trec --run run.msmarco.tsv --topics queries.dev.small.tsv --qrels qrels.dev.small.tsv",
)

# %%
Path("run.msmarco.tsv").read_text().splitlines()[:3]

# %% [markdown]
# ## 7. Evaluate
#
# | | name | note |
# |---|---|---|
# | RR@10 as trec_eval computes it | `RR@10` | trec_eval's `-M 10 -m recip_rank` |
# | RR@10 of the leaderboard's script | `MSMARCO-RR@10` | by the ranks in the file |
# | recall | `R@100 R@1000` | |
#
# On a run without ties both give the same number. The mean is over all judged queries.

# %%
splade_lucene('evaluate --qrels qrels.dev.small.tsv --run run.trec --run run.msmarco.tsv --measures "RR@10 MSMARCO-RR@10 R@100 R@1000 AP"')

# %% [markdown]
# The measure is simple enough to check by hand: 1 / rank of the first relevant passage among the first ten, else 0.

# %%
from splade_lucene import evaluate, read_qrels

qrels = read_qrels("qrels.dev.small.tsv")
first = dict.fromkeys(qrels, 0.0)
for line in Path("run.msmarco.tsv").read_text().splitlines():
    qid, docid, rank = line.split("\t")
    if docid in qrels[qid] and int(rank) <= 10:
        first[qid] = max(first[qid], 1 / int(rank))
by_hand = sum(first.values()) / len(qrels)
assert by_hand == evaluate(qrels, "run.trec", ["RR@10"])["RR@10"]
f"{by_hand:.4f}"

# %% [markdown]
# ## 8. Anserini on the same index
#
# Anserini's own command searches the same index with the same encoded queries. Its run has the same passages in the same
# order. (Anserini 2.x fetches a list of prebuilt indexes first, even to search a folder, and fails without a network.)

# %%
import subprocess

from splade_lucene import jvm

java = jvm.find_runtime().home / "bin" / "java"
anserini = subprocess.run(
    f"{java} -cp {jvm.find_fatjar()} io.anserini.search.SearchCollection -index index -topics queries.dev.small.encoded.tsv "
    "-topicReader TsvInt -output run.anserini.trec -impact -pretokenized -hits 1000".split(),
    capture_output=True,
    text=True,
)


def ranking(path):
    """Query, rank and docid of each line, sorted by query and rank."""
    lines = [line.split() for line in Path(path).read_text().splitlines()]
    return sorted((qid, int(rank), docid) for qid, _, docid, rank, _, _ in lines)


if "Failed to fetch prebuilt index metadata" in anserini.stderr:
    print("Anserini 2.x found no network")
else:
    anserini.check_returncode()
    assert ranking("run.anserini.trec") == ranking("run.trec")
    print(len(ranking("run.trec")), "hits, the same in both runs")

# %% [markdown]
# ## 9. The real collection
#
# **Needs a network, and the disk space and time that `reproduce --dry-run` reports; skipped unless `MSMARCO_WHOLE` names an
# entry.** One command does all the steps above: it downloads, checks, indexes, searches, evaluates, and compares its figures with
# the published ones. After an interruption it resumes.

# %%
import urllib.error
import urllib.request


def is_online():
    try:
        urllib.request.urlopen("https://rgw.cs.uwaterloo.ca", timeout=5)
    except urllib.error.HTTPError:
        return True  # the server answered
    except OSError:
        return False
    return True


wanted = os.environ.get("MSMARCO_WHOLE", "")
if not wanted:
    print("skipped: set MSMARCO_WHOLE to the name of an entry to run this step")
elif not is_online():
    print("skipped: there is no network")
else:
    app(["reproduce", wanted], standalone_mode=False)

# %%
assert by_hand == evaluate(qrels, "run.trec", ["RR@10"])["RR@10"]
"MS MARCO's figure by hand equals the command's"
