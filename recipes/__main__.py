"""`python -m recipes`: lists the recipes."""

import ast
import pathlib


def recipes() -> dict[str, str]:
    """Each recipe's name and the first line of its docstring; nothing is imported."""
    found = {}
    for file in sorted((pathlib.Path(__file__).parent / "runs").glob("*.py")):
        module = ast.parse(file.read_text(encoding="utf-8"))
        targets = [t for node in module.body if isinstance(node, ast.Assign) for t in node.targets]
        if any(isinstance(target, ast.Name) and target.id == "RECIPE" for target in targets):
            found[file.stem] = (ast.get_docstring(module) or "").partition("\n")[0]
    return found


def main() -> None:
    """Prints a line per recipe and how to run one."""
    found = recipes()
    width = max(map(len, found))
    for name, summary in found.items():
        print(f"{name:<{width}}  {summary}")
    name = next(iter(found))
    print(
        f"\nTrain:    python -m recipes.runs.{name} --workdir runs/{name}"
        f"\nOptions:  python -m recipes.runs.{name} --help"
        f"\nScore:    python -m recipes.evaluation.evaluate --workdir runs/{name}"
    )


if __name__ == "__main__":
    main()
