"""What a stakeholder sees: pages made from the release. Everything that decides is pure; Streamlit only draws it.

Pure: `forms`, `values`, `numbers`, `tables`, `parquet`, `results`, `history`, `search`, `bulk`, `rows`, `snippets`,
`words`. Drawn: a form by `widgets`, `uploads`, `grids` over one `drawing`; a result by `render`, `figures`; a run by
`outcome`, `feedback`, `sharing`, `again`, `code`; many runs by `saving`; waiting by `waiting`, `expectation`; errors by
`told`. The app: `app` with its `pages` and `links`; `session` holds the clients, `sign_in*` and `middleware` the door,
`serve` the process.
"""
