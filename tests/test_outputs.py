import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from featrack_utils.errors import FeatrackError
from featrack_utils.pipeline.book import clean_notebook

KERNEL = {"name": "python3", "display_name": "Python 3"}


def cleaned(*outputs, **cell):
    notebook = new_notebook(cells=[new_code_cell("run()", outputs=list(outputs), **cell)])
    clean_notebook(notebook, "sae")
    return notebook.cells[0]


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def display(**data):
    kinds = {"plain": "text/plain", "html": "text/html", "svg": "image/svg+xml"}
    kinds["widget"] = "application/vnd.jupyter.widget-view+json"
    return new_output("display_data", data={kinds[key]: value for key, value in data.items()})


@pytest.mark.parametrize(
    "litter",
    [
        stream("UserWarning: something", "stderr"),
        display(plain="  0%|          | 0/3 [00:00<?, ?it/s]", widget={"model_id": "1"}),
    ],
)
def test_litter_is_removed(litter):
    assert cleaned(litter).outputs == []


def test_what_a_cell_says_is_kept_and_joined():
    outputs = cleaned(stream("one\n"), stream("noise", "stderr"), stream("two\n")).outputs
    assert [output.text for output in outputs] == ["one\ntwo\n"]


def test_a_figure_stays_without_the_address_of_its_repr():
    data = cleaned(display(plain="<Figure at 0x7f00aa>", svg="<svg/>")).outputs[0].data
    assert data == {"text/plain": "<Figure >", "image/svg+xml": "<svg/>"}


def test_a_control_is_replaced_by_a_note():
    data = cleaned(display(plain="interactive()", widget={"model_id": "1"})).outputs[0].data
    assert "needs a running kernel" in data["text/html"]
    assert list(data) == ["text/html", "text/plain"]


def test_a_page_that_stopped_at_an_error_is_refused():
    error = new_output("error", ename="KeyError", evalue="'x'", traceback=[])
    with pytest.raises(FeatrackError, match=r"Page sae stopped at an error \(KeyError: 'x'\)"):
        cleaned(error)


def test_both_parameter_cells_are_folded():
    notebook = new_notebook(
        cells=[
            new_code_cell("tau = 0.8  # threshold", metadata={"tags": ["parameters"]}),
            new_code_cell(
                '# Parameters\nrun_dir = "runs/quick"\n',
                metadata={"tags": ["injected-parameters"]},
            ),
        ]
    )
    clean_notebook(notebook, "sae")
    own, injected = notebook.cells
    assert own.metadata.tags == ["hide-input", "parameters"]
    assert injected.metadata.tags == ["hide-input", "injected-parameters"]
    assert own.source == "tau = 0.8  # threshold"
    assert injected.source == 'run_dir = "runs/quick"\n'


def test_timings_and_random_ids_are_dropped():
    notebook = new_notebook(
        metadata={"papermill": {"duration": 1.0}, "kernelspec": KERNEL},
        cells=[new_code_cell("1", execution_count=7, metadata={"papermill": {"duration": 1.0}})],
    )
    clean_notebook(notebook, "sae")
    assert notebook.metadata == {"kernelspec": KERNEL}
    cell = notebook.cells[0]
    assert (cell.id, cell.execution_count, cell.metadata) == ("cell-000", 1, {})


def test_the_values_of_a_run_are_hidden_where_the_parameters_are():
    given = new_code_cell("a = 1", metadata={"tags": ["parameters", "remove-cell"]})
    injected = new_code_cell("a = 2", metadata={"tags": ["injected-parameters"]})
    clean_notebook(new_notebook(cells=[given, injected]), "intro")
    assert "remove-cell" in injected.metadata.tags


def test_a_shown_figure_becomes_a_numbered_one_and_its_live_caption_goes():
    mark = {"caption": "What it shows.", "name": "fig-x", "alt": "a line"}
    picture = display(svg="<svg/>")
    picture.metadata["featrack"] = mark
    words = new_output("display_data", data={"text/markdown": "*Figure x.* What it shows."})
    words.metadata["featrack"] = {"caption_of": "fig-x"}
    cell = cleaned(picture, words)
    assert [dict(output.data) for output in cell.outputs] == [{"image/svg+xml": "<svg/>"}]
    assert cell.metadata.mystnb.figure == {"caption": "What it shows.", "name": "fig-x"}
    assert cell.metadata.mystnb.image.alt == "a line"
